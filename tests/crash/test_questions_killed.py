"""SIGKILL around a question: it is asked once, its answer is taken once, what follows happens once, by the far side's own count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.sandbox import Result, Sandbox

pytestmark = pytest.mark.crash

RUNBOOK: list[Any] = [
    ("setup", "from holdfast import approve, confirm"),
    ("step:ask", "!printf 'before\\n' >> far.txt\nif confirm('Go on?', why=True):\n    !printf 'after\\n' >> far.txt"),
    ("step:two", "both = approve('All of it?', at_least=2)\n!printf 'both\\n' >> far.txt"),
]
#: where the power is cut -> in which command
CUTS = {
    "prompt.before_open": "run",
    "prompt.after_open": "run",
    "wait.holding": "run",
    "prompt.after_answer": "answer",
    "prompt.before_take": "resume",
    "call.after_outcome@2": "resume",
}


def questions(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.holdfast("prompts", "--json").json
    return found


def answered(sandbox: Sandbox, verdict: str, who: str, faults: str = "") -> Result:
    """Answer the one open question as ``who``."""
    (prompt,) = questions(sandbox)
    sandbox.environment["HOLDFAST_USER"] = who
    return sandbox.holdfast("answer", prompt["id"], verdict, "--why", "seen", "--json", faults=faults)


#: The short form has these.
SHORT = {"prompt.after_open", "prompt.after_answer", "prompt.before_take"}


@pytest.mark.parametrize("cut", [c if c in SHORT else pytest.param(c, marks=pytest.mark.slow) for c in CUTS])
def test_a_cut_around_a_question(tmp_path: Path, cut: str) -> None:
    cut_and_carried_on(tmp_path, None, cut)


@pytest.mark.parametrize("cut", [c if c == "prompt.before_take" else pytest.param(c, marks=pytest.mark.slow) for c in CUTS])
def test_so_on_postgres(tmp_path: Path, postgres_url: str, cut: str) -> None:
    cut_and_carried_on(tmp_path, postgres_url, cut)


def cut_and_carried_on(tmp_path: Path, journal: str | None, cut: str) -> None:
    sandbox = Sandbox(tmp_path, journal, {"HOLDFAST_HOLD_FOR": "0.5"})
    book = sandbox.notebook("ask", RUNBOOK)

    def faults(command: str) -> str:
        return f"{cut}={'kill-once' if command == 'answer' else 'kill-both-once'}" if CUTS[cut] == command else ""

    sandbox.holdfast("run", book, "--id", "x", "--json", faults=faults("run"))
    sandbox.assert_laws("x")
    if not questions(sandbox) or sandbox.status("x") == "running":
        assert sandbox.holdfast("resume", "x", "--json").status == 3
    first = questions(sandbox)
    assert len(first) == 1
    given = answered(sandbox, "yes", "bob", faults("answer"))
    if given.status != 0:  # killed after the answer was in: it stands, a second one is told so
        assert CUTS[cut] == "answer"
        late = sandbox.holdfast("answer", first[0]["id"], "no", "--why", "late", "--json")
        assert (late.status, late.json["error"]["code"]) == (2, "HF401")
    sandbox.assert_laws("x")
    resumed = sandbox.holdfast("resume", "x", "--json", faults=faults("resume"))
    if resumed.status != 3:
        resumed = sandbox.holdfast("resume", "x", "--json")
    assert resumed.status == 3, resumed
    for who in ("bob", "eve"):
        assert answered(sandbox, "yes", who).status == 0
    assert sandbox.holdfast("resume", "x", "--json").status == 0
    sandbox.assert_laws("x")
    assert len(sandbox.struck()) == 1
    assert (tmp_path / "far.txt").read_text().splitlines() == ["before", "after", "both"]
    kinds = [e.kind for e in sandbox.entries("x")]
    assert (kinds.count("prompt.opened"), kinds.count("prompt.answered"), kinds.count("prompt.voted")) == (2, 2, 2)


def test_a_no_ends_it_and_nothing_more_happens(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, environment={"HOLDFAST_HOLD_FOR": "0"})
    cells = [
        ("step:ask", "from holdfast import confirm\nconfirm('Delete it?')\n!printf 'deleted\\n' >> far.txt"),
        ("step:end", "!printf 'end\\n' >> far.txt"),
    ]
    book = sandbox.notebook("no", cells)
    assert sandbox.holdfast("run", book, "--id", "x", "--json").status == 3
    assert answered(sandbox, "no", "bob").status == 0
    ended = sandbox.holdfast("resume", "x", "--json")
    assert (ended.status, ended.json["status"], ended.json["reason"]) == (4, "cancelled", "declined by bob via cli: seen")
    assert not (tmp_path / "far.txt").exists()
    sandbox.assert_laws("x")

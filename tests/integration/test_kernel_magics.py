"""``%holdfast`` in a real kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from holdfast.testing.kernels import Front

EFFECT = "!touch here && echo once >> effects\n"
CELLS = [("a", "x = [1]"), ("b", f"import uuid\nid = uuid.uuid4()\n{EFFECT}"), ("c", "raise ValueError('no')")]


def notebook(folder: Path) -> Path:
    bare: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    path = folder / "n.ipynb"
    path.write_text(
        json.dumps({"cells": [{**bare, "id": i, "source": s} for i, s in CELLS], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return path


def told(front: Front, line: str) -> str:
    """What ``%holdfast line`` says."""
    ran = front.run(f"%holdfast {line}")
    assert ran.told == {}  # such a cell is not recorded
    [text] = ran.notices
    return text


def completions(front: Front, line: str) -> list[str]:
    front.client.complete(line, len(line))
    while True:
        reply = front.client.get_shell_msg(timeout=60)
        if reply["header"]["msg_type"] == "complete_reply":
            return [str(m) for m in reply["content"]["matches"]]


def test_looking_begins_nothing_and_tells_what_is_there(tmp_path: Path) -> None:
    with Front(tmp_path, notebook=notebook(tmp_path)) as front:
        assert "No execution yet" in told(front, "")
        front.run_all(CELLS)
        lines = {line.split()[0]: line for line in told(front, "status").splitlines()[2:]}
        assert [lines[step].split()[1] for step in "abc"] == ["succeeded", "succeeded", "failed"]
        calls = told(front, "calls")
        assert "touch here && echo once >> effects" in calls
        assert "1 readings of clock and chance" in calls
        assert "None." in told(front, "calls a")
        assert [line.split()[3] for line in told(front, "checkpoint").splitlines()[2:]] == ["exact", "exact"]
        assert "Nothing waits" in told(front, "prompts")
        assert "HF242" in told(front, "frobnicate")
        assert "HF242" in told(front, "rerun")
        assert "HF603" in told(front, "rerun nowhere")
        assert "HF601" in told(front, "resume nowhere")
        assert "HF602" in told(front, "answer nowhere run")
        assert "quotation" in told(front, "answer 'x")
        assert all(f"%holdfast {name}" in told(front, "help") for name in ("new", "resume ID", "rerun STEP"))


def test_rerun_forgets_a_step_with_its_calls(tmp_path: Path) -> None:
    with Front(tmp_path, notebook=notebook(tmp_path)) as front:
        front.run_all(CELLS)
        first = front.run("str(id)", "look").result
        assert "no longer count" in told(front, "rerun b")
        assert front.run(CELLS[0][1], "a").state == "skipped"
        assert front.run(CELLS[1][1], "b").state == "ran"
        assert front.run("str(id)", "look again").result != first
    assert (tmp_path / "effects").read_text() == "once\nonce\n"


def test_new_empties_the_namespace_and_resume_brings_it_back(tmp_path: Path) -> None:
    path = notebook(tmp_path)
    with Front(tmp_path, notebook=path) as front:
        front.run_all(CELLS)
        front.run("x.append(2)\nid1 = str(id)", "more")
        former = told(front, "status").split()[1]
        ident = front.run("id1", "look").result
        assert "New execution" in told(front, "new")
        assert front.run("'x' in globals(), 'id1' in globals()", "look").result == "(False, False)"
        front.run_all(CELLS)
        assert "HF240" in told(front, f"resume {former}")  # `new` cancelled it
        front.shutdown()
    with Front(tmp_path, notebook=path) as front:
        ran = front.run_all(CELLS)
        assert [r.state for r in ran.values()] == ["skipped", "skipped", "failed"]
        second = told(front, "status").split()[1]
        assert second != former
        assert ident is not None
        with Front(tmp_path) as other:
            assert "HF250" in told(other, f"resume {second}")
            front.shutdown()
            assert second in told(other, f"resume {second[:-2]}")
            assert other.run(CELLS[0][1], "a").state == "skipped"
            assert other.run("x", "see").result == "[1]"


def test_completions_offer_commands_steps_and_ids(tmp_path: Path) -> None:
    with Front(tmp_path, notebook=notebook(tmp_path)) as front:
        assert "status" in completions(front, "%holdfast st")
        front.run_all(CELLS)
        assert {"a", "b"} <= set(completions(front, "%holdfast rerun "))
        assert completions(front, "%holdfast resume 2")[0].startswith("20")

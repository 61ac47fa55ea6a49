"""Two branches at a time: one that waits goes on when its time has come, while the other still runs."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from holdfast.model.entry import Kind
from holdfast.testing.sandbox import Sandbox

#: Holds its branch until a file of that name is there.
UNTIL = "import os, time\n!echo {name} >> far\nwhile not os.path.exists({file!r}): time.sleep(0.05)"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, environment={"HOLDFAST_HOLD_FOR": "0"})


def branches(sandbox: Sandbox, waits: str, until: str = "went-on", **policy: Any) -> Path:
    """``waits`` in one branch; in the other one a step that runs until the file ``until`` is there; then a step after both."""
    return sandbox.notebook(
        "both",
        [
            ("step:first", "x = [1]"),
            ("step:waits", f"{waits}\nx.append(2)\n!echo went-on >> far\nopen('went-on', 'w').close()", {"after": ["first"], **policy}),
            ("step:runs", UNTIL.format(name="runs", file=until), {"after": ["first"]}),
            ("step:last", "print('last', x)", {"after": ["waits", "runs"]}),
        ],
    )


def far(sandbox: Sandbox) -> list[str]:
    place = sandbox.folder / "far"
    return place.read_text().split() if place.exists() else []


def through(sandbox: Sandbox, process: Any) -> None:
    out, err = process.communicate(timeout=120)
    assert (process.returncode, sandbox.status("e")) == (0, "succeeded"), (out, err)
    assert sorted(far(sandbox)) == ["runs", "went-on"]
    assert "last [1, 2]" in (sandbox.folder / ".holdfast" / "outputs" / "e.ipynb").read_text()
    sandbox.assert_laws("e")


def kinds(sandbox: Sandbox) -> list[str]:
    return [e.kind for e in sandbox.entries("e")]


def test_a_timer_s_branch_goes_on_beside_the_one_that_needs_it(sandbox: Sandbox) -> None:
    process = sandbox.start("run", branches(sandbox, "from holdfast import wait\nwait('1 s')"), "--id", "e", stderr=None)
    through(sandbox, process)
    assert Kind.EXECUTION_SUSPENDED not in kinds(sandbox)


def test_an_answer_lets_its_branch_go_on_and_nothing_is_held_for_it_until_then(sandbox: Sandbox) -> None:
    book = branches(sandbox, "from holdfast import confirm\nassert confirm('Go on?')")
    process = sandbox.start("run", book, "--id", "e", stderr=None)
    sandbox.until(lambda: "runs" in far(sandbox) and Kind.PROMPT_OPENED in kinds(sandbox), "both branches", 120)
    sandbox.until(lambda: len(sandbox.kernels(process.pid)) == 1, "the end of the kernel that only waits")
    (prompt,) = sandbox.holdfast("prompts", "--json").json
    assert sandbox.holdfast("answer", prompt["id"], "yes").status == 0
    through(sandbox, process)


def test_an_attempt_that_is_due_later_is_made_beside_the_other_branch(sandbox: Sandbox) -> None:
    fails_once = "with open('tries', 'a') as f: f.write('try ')\nassert len(open('tries').read().split()) > 1"
    process = sandbox.start("run", branches(sandbox, fails_once, retry={"count": 1, "delay": 1}), "--id", "e", stderr=None)
    through(sandbox, process)
    assert (sandbox.folder / "tries").read_text().split() == ["try", "try"]


def test_the_engine_is_killed_between_the_answer_and_the_branch(sandbox: Sandbox) -> None:
    book = branches(sandbox, "from holdfast import signal\nassert signal('go') == 1", until="gate")
    process = sandbox.start("run", book, "--id", "e", stderr=None)
    sandbox.until(lambda: "runs" in far(sandbox) and Kind.SIGNAL_AWAITED in kinds(sandbox), "both branches", 120)
    os.kill(process.pid, signal.SIGSTOP)
    assert sandbox.holdfast("signal", "e", "go", "--value", "1").status == 0
    sandbox.kill(process)
    (sandbox.folder / "gate").touch()
    done = sandbox.holdfast("resume", "e", "--json")
    assert json.loads(done.out)["status"] == "succeeded", done.err
    assert sorted(set(far(sandbox))) == ["runs", "went-on"]
    assert far(sandbox).count("went-on") == 1
    sandbox.assert_laws("e")

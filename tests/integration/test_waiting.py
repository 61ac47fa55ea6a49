"""Timers, signals, children and the worker that continues them, from the command line to real kernels."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.sandbox import Sandbox

#: Every wait suspends at once: what is tested is that it goes on without a process in between.
AT_ONCE = {"HOLDFAST_HOLD_FOR": "0"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox(tmp_path_factory.mktemp("waiting"), environment=AT_ONCE)


@pytest.fixture(scope="module")
def worker(sandbox: Sandbox) -> Iterator[Any]:
    """One worker for all tests of this module."""
    process = sandbox.start("worker", "--concurrency", "3", stdout=None, stderr=None)
    yield process
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def run(sandbox: Sandbox, name: str, cells: Sequence[Any], *arguments: str) -> Any:
    return sandbox.holdfast("run", sandbox.notebook(name, cells), "--id", name, "--json", *arguments)


def ends(sandbox: Sandbox, id: str, status: str = "succeeded") -> None:
    sandbox.until(lambda: sandbox.status(id) in ("succeeded", "failed", "cancelled"), f"the end of {id}", 120)
    assert sandbox.status(id) == status, [(e.kind, e.data) for e in sandbox.entries(id)][-3:]
    sandbox.assert_laws(id)


def printed(sandbox: Sandbox, id: str) -> str:
    cells = json.loads((sandbox.folder / ".holdfast" / "outputs" / f"{id}.ipynb").read_text())["cells"]
    return "".join(str(o.get("text", "")) for c in cells for o in c.get("outputs", []) if o["output_type"] == "stream")


def test_a_timer_suspends_and_the_worker_goes_on_when_it_is_due(sandbox: Sandbox, worker: Any) -> None:
    cells = [("step:a", "!echo before >> far-t\nfrom holdfast import wait\nw = wait('1.5 s')\nprint(w.seconds)\n!echo after >> far-t")]
    first = run(sandbox, "timer", cells)
    assert first.status == 3, first.err
    assert first.json["due_at"]
    assert "waits until" in first.json["reason"]
    ends(sandbox, "timer")
    assert "1.5" in printed(sandbox, "timer")
    assert (sandbox.folder / "far-t").read_text().split() == ["before", "after"]
    assert [e.kind for e in sandbox.entries("timer")].count("timer.set") == 1


def test_line_forms_wait_and_their_mistakes_say_what_to_write(sandbox: Sandbox, worker: Any) -> None:
    cells = [
        ("step:a", "%wait 1.2 s\nw = %wait 0.3\nprint('WAITED', w.seconds)"),
        ("step:b", "%wait 2020-01-01T00:00Z\nprint('PAST')\nif True:\n    %wait 0 min 1 s\nprint('NESTED')"),
    ]
    first = run(sandbox, "lines", cells)
    assert (first.status, "waits until" in first.json["reason"]) == (3, True), first.err
    ends(sandbox, "lines")
    assert all(said in printed(sandbox, "lines") for said in ("WAITED 0.3", "PAST", "NESTED"))
    assert [e.kind for e in sandbox.entries("lines")].count("timer.fired") == 4
    lines = ("%wait", "%wait a while", "%wait -3 s", "wait_for('1 +')", "wait_for(bool, every='often')")
    goes_on = {"on_failure": "continue"}
    run(sandbox, "wrong", [(f"step:s{n}", f"from holdfast import wait_for\n{line}", goes_on) for n, line in enumerate(lines)])
    failed = [e.data["error"].get("code") for e in sandbox.entries("wrong") if e.kind == "step.failed"]
    assert failed == ["HF157"] * len(lines)


def test_a_condition_is_looked_at_without_a_process_in_between(sandbox: Sandbox, worker: Any) -> None:
    cells = [
        ("step:a", "import os\nfrom holdfast import wait_for\nplace = 'there'\n!echo before >> far-c"),
        (
            "step:b",
            "got = wait_for('os.path.exists(place) and place', every='0.5 s', timeout='5 min')\nprint('GOT', got)\n!echo after >> far-c",
        ),
    ]
    first = run(sandbox, "cond", cells)
    assert (first.status, "looks again at" in first.json["reason"]) == (3, True), first.err

    def looks() -> int:
        return [e.kind for e in sandbox.entries("cond")].count("timer.set")

    sandbox.until(lambda: looks() > 2, "the worker looks again", 120)
    assert sandbox.status("cond") in ("suspended", "running")
    (sandbox.folder / "there").touch()
    ends(sandbox, "cond")
    assert "GOT there" in printed(sandbox, "cond")
    assert (sandbox.folder / "far-c").read_text().split() == ["before", "after"]
    assert [e.data["came"] for e in sandbox.entries("cond") if e.kind == "timer.fired"] == [True]


def test_a_condition_that_does_not_come_true_or_must_not_be_asked(sandbox: Sandbox, worker: Any) -> None:
    cells = [
        ("step:a", "from holdfast import wait_for\nprint('DEFAULT', wait_for(lambda: None, every=0.2, timeout='1 s', default='none'))"),
        ("step:b", "def refuses():\n    raise ConnectionRefusedError('no')\nwait_for(refuses, every=0.2, timeout='1 s')"),
    ]
    run(sandbox, "late", cells)
    ends(sandbox, "late", "failed")
    assert "DEFAULT none" in printed(sandbox, "late")
    [failed] = [e.data["error"] for e in sandbox.entries("late") if e.kind == "step.failed"]
    assert failed["code"] == "HF323"
    goes_on = {"on_failure": "continue"}
    steps = ["wait_for(lambda: get_ipython().system('touch never'))", "wait_for(lambda: 1 / 0)"]
    run(sandbox, "asks", [(f"step:s{n}", f"from holdfast import wait_for\n{line}", goes_on) for n, line in enumerate(steps)])
    errors = [e.data["error"] for e in sandbox.entries("asks") if e.kind == "step.failed"]
    assert [e.get("code") or e["type"] for e in errors] == ["HF163", "ZeroDivisionError"]
    assert not (sandbox.folder / "never").exists()


def test_signals_are_kept_and_taken_once_in_their_order(sandbox: Sandbox, worker: Any) -> None:
    source = "from holdfast import signal\ngot = [signal('go') for _ in range(3)]\nprint(got)"
    assert run(sandbox, "signals", [("step:a", source)]).status == 3
    for n in range(2):
        assert sandbox.holdfast("signal", "signals", "go", "--value", str(n), "--key", f"k{n}").status == 0
    assert sandbox.holdfast("signal", "signals", "go", "--value", "0", "--key", "k0").status == 0  # the same again: nothing is sent
    assert sandbox.holdfast("signal", "signals", "other", "--value", "9").status == 0
    assert sandbox.holdfast("signal", "signals", "go", "--value", '{"n": 2}').status == 0
    ends(sandbox, "signals")
    assert "[0, 1, {'n': 2}]" in printed(sandbox, "signals")
    late = sandbox.holdfast("signal", "signals", "go", "--json")
    assert late.status == 2
    assert late.json["error"]["code"] == "HF253"


def test_a_signal_that_does_not_come_gives_the_default_or_fails(sandbox: Sandbox, worker: Any) -> None:
    run(sandbox, "default", [("step:a", "from holdfast import signal\nprint('x', signal('never', timeout=0.5, default='none came'))")])
    run(sandbox, "strict", [("step:a", "from holdfast import signal\nsignal('never', timeout=0.5)")])
    ends(sandbox, "default")
    assert "x none came" in printed(sandbox, "default")
    ends(sandbox, "strict", "failed")
    assert "HF320" in sandbox.holdfast("show", "strict").out
    sandbox.holdfast("signal", "strict", "never")
    assert sandbox.holdfast("resume", "strict", "--json").json["status"] == "succeeded"


def test_a_child_is_started_once_and_what_it_published_comes_back(sandbox: Sandbox, worker: Any) -> None:
    child = [("parameters", "n = 1"), ("step:work", "!echo $n >> far-child\nfrom holdfast import publish\npublish(double=n * 2)")]
    sandbox.notebook("child", child)
    source = "from holdfast import run_runbook\nc = run_runbook('child', n=21)\nprint(c.status, c['double'], c.outputs)"
    run(sandbox, "parent", [("step:a", source)])
    ends(sandbox, "parent")
    assert "succeeded 42 {'double': 42}" in printed(sandbox, "parent")
    assert (sandbox.folder / "far-child").read_text().split() == ["21"]


def test_a_child_s_failure_is_the_parent_s_and_resuming_the_parent_continues_the_child(sandbox: Sandbox, worker: Any) -> None:
    sandbox.notebook("sick", [("step:work", "import pathlib\n!echo once >> far-s\nassert pathlib.Path('cured').exists(), 'not cured'")])
    source = "from holdfast import run_runbook\nc = run_runbook('sick')\nprint('then', c.status)"
    run(sandbox, "upset", [("step:a", source)])
    ends(sandbox, "upset", "failed")
    shown = sandbox.holdfast("show", "upset").out
    assert "HF321" in shown
    assert "not cured" in shown
    (sandbox.folder / "cured").touch()
    sandbox.holdfast("resume", "upset")
    ends(sandbox, "upset")
    assert "then succeeded" in printed(sandbox, "upset")
    assert (sandbox.folder / "far-s").read_text().split() == ["once"]


def test_cancelling_and_pausing_go_down_to_the_children(sandbox: Sandbox, worker: Any) -> None:
    sandbox.notebook("below", [("step:work", "from holdfast import signal\nsignal('never')")])
    run(sandbox, "above", [("step:a", "from holdfast import run_runbook\nrun_runbook('below')")])

    def child() -> dict[str, Any]:
        found: list[dict[str, Any]] = [e for e in sandbox.holdfast("list", "--json").json if e["runbook"] == "below"]
        return found[0] if found else {"status": "none"}

    sandbox.until(lambda: child()["status"] == "suspended" and sandbox.status("above") == "suspended", "both to wait", 120)
    assert sandbox.holdfast("pause", "above").status == 0
    assert child()["status"] == "paused"
    assert sandbox.holdfast("resume", "above").status == 3  # it waits again
    sandbox.until(lambda: child()["status"] == "suspended" and sandbox.status("above") == "suspended", "both to wait again", 120)
    assert sandbox.holdfast("pause", "above").status == 0
    assert child()["status"] == "paused"
    assert sandbox.holdfast("cancel", "above").status == 0
    assert child()["status"] == "cancelled"


def test_without_a_worker_a_held_parent_runs_its_child_itself(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.notebook("child", [("step:work", "from holdfast import publish, wait\nwait(1)\npublish(x=1)")])
    done = run(sandbox, "parent", [("step:a", "from holdfast import run_runbook\nprint('got', run_runbook('child')['x'])")])
    assert (done.status, done.json["status"]) == (0, "succeeded"), done.err
    assert "got 1" in printed(sandbox, "parent")


def test_a_worker_that_is_told_to_end_lets_go_and_the_next_one_goes_on(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, environment=AT_ONCE)
    source = "import time\n!echo begun >> far\nfrom holdfast import wait\nwait(0.2)\n!echo slow >> far\ntime.sleep(3)\nprint('through')"
    assert run(sandbox, "slow", [("step:a", source)]).status == 3
    first = sandbox.start("worker")
    sandbox.until(lambda: "slow" in (sandbox.folder / "far").read_text(), "the slow part", 120)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    assert sandbox.status("slow") == "suspended"
    assert sandbox.holdfast("worker", "--once").status == 0
    ends(sandbox, "slow")
    assert (sandbox.folder / "far").read_text().split() == ["begun", "slow"]


def test_with_the_journal_on_postgresql_what_a_wait_does_to_it_is_no_call_of_the_cell(tmp_path: Path, postgres_url: str) -> None:
    sandbox = Sandbox(tmp_path, journal=postgres_url, environment=AT_ONCE)
    assert run(sandbox, "pg", [("step:a", "from holdfast import signal\nprint('got', signal('go'))")]).status == 3
    assert sandbox.holdfast("signal", "pg", "go", "--value", "7").status == 0
    assert sandbox.holdfast("resume", "pg", "--json").json["status"] == "succeeded"
    assert "got 7" in printed(sandbox, "pg")
    assert not [e for e in sandbox.entries("pg") if str(e.data.get("kind")) == "sql"]

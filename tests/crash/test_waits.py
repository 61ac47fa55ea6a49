"""The power cut at every point of a wait: a timer is set once and never begins again, a signal is taken once, a child is started once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.executions.signals import send
from holdfast.foundation import clock
from holdfast.model.entry import Kind
from holdfast.testing import laws
from holdfast.testing.cells import EXECUTION, CellRunner
from holdfast.testing.sandbox import Sandbox

pytestmark = pytest.mark.crash

TIMER = "from holdfast import wait\n!echo before >> far\nw = wait(0.6)\n!echo after >> far\nprint('waited', w.seconds)"


def on(journals: str, faults: list[str], short: str = "") -> list[Any]:
    """``(journal, fault)``; of those on PostgreSQL the short form has the one named ``short``."""
    many = [(journal, fault) for journal in journals.split() for fault in faults]
    return [pytest.param(*one, marks=[pytest.mark.slow] if one[0] == "postgres" and one[1] != short else []) for one in many]


@pytest.fixture
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a fresh journal of the kind that the test names."""
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else f"sqlite:///{tmp_path}/journal.db"


TIMER_FAULTS = ["timer.before_set", "timer.after_set", "wait.holding", "timer.before_fire", "timer.after_fire"]


@pytest.mark.parametrize(("journal", "fault"), on("sqlite postgres", TIMER_FAULTS, short="timer.before_fire"), indirect=["journal"])
def test_a_timer_is_set_once_and_what_surrounds_it_is_done_once(tmp_path: Path, journal: str, fault: str) -> None:
    runner = CellRunner(tmp_path, TIMER, journal=journal)
    assert runner.run(f"{fault}=kill").killed
    done = runner.run()
    assert (done.status, "waited 0.6" in done.out) == (0, True), (done.out, done.err)
    assert (tmp_path / "far").read_text().split() == ["before", "after"]
    store = runner.open()
    entries = store.read(EXECUTION)
    assert [e.kind for e in entries].count(Kind.TIMER_SET) == 1
    assert [e.kind for e in entries].count(Kind.TIMER_FIRED) == 1
    assert store.pending() == []
    assert laws.broken(entries, ()) == []
    store.close()


def test_a_wait_that_was_over_long_ago_is_not_waited_for_again(tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, "from holdfast import wait\nw = wait(1)\nprint('waited', w.seconds)")
    assert runner.run("wait.holding=kill").killed
    store = runner.open()
    (timer,) = store.pending(kind="timer")
    store.close()
    while clock.now() < (timer.due_at or 0.0):
        clock.sleep(0.05)
    begun = clock.now()
    done = runner.run()
    assert (done.status, "waited 1.0" in done.out) == (0, True)
    (set_once,) = runner.open().read(EXECUTION, kinds=(Kind.TIMER_SET,))
    assert set_once.at < begun


SIGNAL_FAULTS = ["wait.holding", "signal.before_take", "signal.after_take", "signal.after_take@2"]


@pytest.mark.parametrize(("journal", "fault"), on("sqlite postgres", SIGNAL_FAULTS, short="signal.after_take"), indirect=["journal"])
def test_signals_are_taken_once_each_and_in_order(tmp_path: Path, journal: str, fault: str) -> None:
    cell = "from holdfast import signal\none = signal('go')\n!echo $one >> far\ntwo = signal('go')\n!echo $two >> far"
    runner = CellRunner(tmp_path, cell, journal=journal)
    assert runner.run("wait.holding=kill").killed  # nobody has sent anything yet
    store = runner.open()
    header = store.header(EXECUTION)
    assert header is not None
    for n in (1, 2, 3):
        send(store, header, "go", n, key=f"k{n}", who="tester", via="test")
        send(store, header, "go", n, key=f"k{n}", who="tester", via="test")
    assert runner.run(f"{fault}=kill").killed
    done = runner.run()
    assert done.status == 0, (done.out, done.err)
    assert (tmp_path / "far").read_text().split() == ["1", "2"]
    assert [e.data["value"] for e in store.read(EXECUTION, kinds=(Kind.SIGNAL_TAKEN,))] == [1, 2]
    assert store.pending() == []
    assert laws.broken(store.read(EXECUTION), ()) == []
    store.close()


def family(folder: Path, journal: str | None = None) -> Sandbox:
    sandbox = Sandbox(folder, journal, {"HOLDFAST_HOLD_FOR": "0", "HOLDFAST_STATE_DIR": str(folder / ".holdfast")})
    sandbox.notebook("child", [("step:work", "!echo child >> far\nfrom holdfast import publish\npublish(x=7)")])
    source = "!echo before >> far\nfrom holdfast import run_runbook\nc = run_runbook('child')\nassert c['x'] == 7\n!echo after >> far"
    sandbox.notebook("parent", [("step:go", source)])
    return sandbox


@pytest.mark.parametrize("fault", ["child.before_start", "child.after_start", "child.before_end", "child.after_end"])
def test_a_child_is_started_once_and_its_end_is_never_missed(tmp_path: Path, fault: str) -> None:
    carried_through(family(tmp_path), fault)


@pytest.mark.parametrize("fault", [pytest.param("child.after_start", marks=pytest.mark.slow), "child.before_end"])
def test_so_on_postgres(tmp_path: Path, postgres_url: str, fault: str) -> None:
    carried_through(family(tmp_path, postgres_url), fault)


def test_deep_in_a_family_everything_is_killed_and_the_value_comes_up(tmp_path: Path) -> None:
    """Three deep, a signal at the bottom; whoever works is killed with its kernels, again and again."""
    sandbox = Sandbox(tmp_path, None, {"HOLDFAST_HOLD_FOR": "0"})
    sandbox.notebook("low", [("step:a", "!echo low >> far\nfrom holdfast import publish, signal\npublish(x=signal('go'))")])
    call = "from holdfast import publish, run_runbook\nx = run_runbook({name!r})['x']\n!echo {name}-gave-$x >> far\npublish(x=x + 1)"
    sandbox.notebook("middle", [("step:b", call.format(name="low"))])
    sandbox.notebook("high", [("step:c", call.format(name="middle"))])
    sandbox.holdfast("run", sandbox.folder / "high.ipynb", "--id", "h")
    worker = sandbox.start("worker", stdout=None, stderr=None)

    def all_of_them() -> dict[str, str]:
        return {e["runbook"]: e["id"] for e in sandbox.holdfast("list", "--json").json}

    sandbox.until(lambda: "low" in all_of_them() and sandbox.status(all_of_them()["low"]) == "suspended", "the signal's wait", 120)
    ids = all_of_them()
    assert sandbox.holdfast("signal", ids["low"], "go", "--value", "5").status == 0
    for runbook in ("low", "middle", "high"):
        sandbox.until(lambda id=ids[runbook]: sandbox.status(id) != "suspended", f"{runbook} to go on", 120)
        sandbox.kill(worker)
        worker = sandbox.start("worker", stdout=None, stderr=None)
        sandbox.until(lambda id=ids[runbook]: sandbox.status(id) == "succeeded", f"the end of {runbook}", 120)
    worker.terminate()
    assert worker.wait(60) == 0
    assert (tmp_path / "far").read_text().split() == ["low", "low-gave-5", "middle-gave-6"]
    assert sorted(all_of_them()) == ["high", "low", "middle"]
    for id in ids.values():
        sandbox.assert_laws(id)


@pytest.mark.parametrize("fault", ["child.before_cascade", "child.before_release"])
def test_a_pause_and_a_resumption_reach_the_child_though_whoever_asked_was_killed(tmp_path: Path, fault: str) -> None:
    sandbox = Sandbox(tmp_path, None, {"HOLDFAST_HOLD_FOR": "0"})
    sandbox.notebook("below", [("step:a", "from holdfast import signal\nsignal('go')")])
    book = sandbox.notebook("above", [("step:b", "from holdfast import run_runbook\nrun_runbook('below')")])
    sandbox.holdfast("run", book, "--id", "p")

    def child() -> str:
        return str(next(e["status"] for e in sandbox.holdfast("list", "--json").json if e["runbook"] == "below"))

    sandbox.until(lambda: child() in ("queued", "suspended"), "the child", 120)
    if fault == "child.before_cascade":
        assert sandbox.holdfast("pause", "p", faults=f"{fault}=kill").status == -9
        expected = "paused"
    else:
        assert sandbox.holdfast("pause", "p").status == 0
        assert child() == "paused"
        assert sandbox.holdfast("resume", "p", faults=f"{fault}=kill").status == -9
        expected = "suspended"
    assert sandbox.holdfast("worker", "--once").status == 0
    assert child() == expected


def carried_through(sandbox: Sandbox, fault: str) -> None:
    """Parent, worker and child are killed at ``fault``, wherever that is; further workers carry everything through."""
    in_kernel = fault in ("child.before_start", "child.after_start")
    armed = f"{fault}={'kill-both-once' if in_kernel else 'kill-once'}"
    sandbox.holdfast("run", sandbox.folder / "parent.ipynb", "--id", "p", faults=armed)
    workers = [sandbox.start("worker", faults=armed, stdout=None, stderr=None)]

    def over() -> bool:
        if workers[-1].poll() is not None:  # the fault struck there, unless it did in `run`, whose process may have worked on the child
            workers.append(sandbox.start("worker", stdout=None, stderr=None))
        return sandbox.status("p") in ("succeeded", "failed")

    try:
        sandbox.until(over, "the end of the parent", 120)
    finally:
        if workers[-1].poll() is None:
            workers[-1].terminate()
            assert workers[-1].wait(60) == 0
    assert len(sandbox.struck()) == 1, sandbox.struck()
    assert sandbox.status("p") == "succeeded"
    assert (sandbox.folder / "far").read_text().split() == ["before", "child", "after"]
    runbooks = [e["runbook"] for e in sandbox.holdfast("list", "--json").json]
    assert sorted(runbooks) == ["child", "parent"]
    sandbox.assert_laws("p")


def test_two_workers_beside_each_other_do_nothing_twice(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, environment={"HOLDFAST_HOLD_FOR": "0"})
    source = "!echo before-$n >> far\nfrom holdfast import wait\nwait(0.3)\n!echo after-$n >> far"
    book = sandbox.notebook("many", [("parameters", "n = 0"), ("step:a", source)])
    for n in range(3):
        assert sandbox.holdfast("run", book, "--id", f"m{n}", "-p", "n", str(n)).status == 3
    workers = [sandbox.start("worker", "--concurrency", "2", stdout=None, stderr=None) for _ in range(2)]
    os.kill(workers[0].pid, 0)
    sandbox.until(lambda: all(sandbox.status(f"m{n}") == "succeeded" for n in range(3)), "all three", 120)
    for process in workers:
        process.terminate()
    assert [process.wait(60) for process in workers] == [0, 0]
    assert sorted((tmp_path / "far").read_text().split()) == sorted(f"{w}-{n}" for n in range(3) for w in ("before", "after"))
    for n in range(3):
        sandbox.assert_laws(f"m{n}")

"""Timers, signals, conditions and children of executions that Dagster runs: the run is suspended, and goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402

#: Every wait suspends at once: what is tested is that it goes on without a process in between.
AT_ONCE = {"HOLDFAST_HOLD_FOR": "0"}


@pytest.fixture(scope="module")
def house(dagster_house: Callable[..., Any]) -> Iterator[Any]:
    """One home with a daemon, whose sensor is all that continues what is due."""
    with dagster_house("waiting", environment=AT_ONCE) as made:
        runbooks(made)
        made.home.dagster("daemon")
        yield made


def runbooks(house: Any) -> None:
    """All of them: the daemon's code server loads the definitions once."""
    book, record = house.home.runbook, house.record
    book(
        "timer",
        [
            ("step:before", record("t-before")),
            ("step:rest", record("t-rest") + "from holdfast import wait\nw = wait('2 s')\nprint('rested', w.seconds)"),
            ("step:after", record("t-after")),
        ],
    )
    gate = str(house.home.folder / "gate")
    condition = f"from holdfast import wait_for\nimport os\nwait_for(lambda: os.path.exists({gate!r}), every='3 s')\n"
    book("condition", [("step:look", record("c-before") + condition + record("c-after"))])
    child = "from holdfast import publish, signal\ngot = signal('go')\npublish(word=got)\n"
    book("below", [("step:work", record("below") + child)])
    above = "from holdfast import run_runbook\nc = run_runbook('below')\nprint('got', c['word'])\n"
    book("above", [("step:call", record("above") + above), ("step:after", record("after"))])
    there, go = (str(house.home.folder / word) for word in ("there", "go"))
    stand = f"import os, time\nopen({there!r}, 'a').write('x')\nwhile not os.path.exists({go!r}): time.sleep(0.05)\n"
    book("slow_below", [("step:work", record("slow-below") + stand + record("slow-below-end"))])
    book("slow_above", [("step:call", record("slow-above") + "from holdfast import run_runbook\nrun_runbook('slow_below')")])

    went = str(house.home.folder / "went-on")
    hold = f"import os, time\nwhile not os.path.exists({went!r}): time.sleep(0.05)\n"
    asks = "from holdfast import signal\none = signal('one')\n" + record("b-one") + "two = signal('two')\n"
    book(
        "branches",
        [
            ("step:before", record("b-before") + "x = [1]"),
            ("step:asks", asks + f"x.append(two)\nopen({went!r}, 'w').close()\nprint('told in time')", {"after": ["before"]}),
            ("step:runs", record("b-runs") + hold + record("b-ran"), {"after": ["before"]}),
            ("step:last", "print('last', x)\n" + record("b-last"), {"after": ["asks", "runs"]}),
        ],
    )


def worker(house: Any, run: str) -> psutil.Process:
    """The run's own process."""
    return psutil.Process(int(house.run(run).tags[".dagster/holdfast_worker"].partition("/")[0].rpartition(":")[2]))


def child_of(execution: str, status: str) -> str:
    """The id of the one child, when it has that status; an empty text until then."""
    with Client.open() as client:
        return next((e.id for e in client.list() if e.parent == execution and e.status == status), "")


def test_a_timer_and_a_condition_suspend_the_run_and_the_sensor_goes_on(house: Any) -> None:
    timer, condition = house.launch("timer"), house.launch("condition")
    for id in (timer, condition):
        house.until(id, "SUSPENDED")
    (house.home.folder / "gate").touch()
    for id in (timer, condition):
        house.until(id, "SUCCESS")
        assert house.kinds(id).count("RUN_SUSPENDED") == house.kinds(id).count("RUN_RESUMED") >= 1
        house.home.assert_laws(house.execution(id))
    assert [w for w in house.effects() if w.startswith("t-")] == ["t-before", "t-rest", "t-after"]
    assert [w for w in house.effects() if w.startswith("c-")] == ["c-before", "c-after"]
    assert any("waits until" in said for said in house.said(timer))
    assert any(said.startswith("rested 2") for said in house.said(timer))


def test_a_child_that_waits_goes_on_as_a_run_of_its_own_and_then_its_parent_does(house: Any) -> None:
    above = house.launch("above")
    house.until(above, "SUSPENDED")
    parent = house.execution(above)
    house.home.until(lambda: child_of(parent, "suspended"), "the child to wait")
    child = child_of(parent, "suspended")
    assert house.home.holdfast("signal", child, "go", "--value", '"well"').status == 0
    house.until(above, "SUCCESS")
    (below,) = [r for r in house.instance.get_runs() if r.tags.get("holdfast/parent") == parent]
    house.until(below.run_id, "SUCCESS")
    assert (below.job_name, below.tags["holdfast/execution_id"]) == ("below", child)
    assert "got well" in house.said(above)
    assert [w for w in house.effects() if w in ("above", "below", "after")] == ["above", "below", "after"]
    for id in (parent, child):
        house.home.assert_laws(id)


def test_a_child_whose_parents_worker_dies_is_continued_with_its_parent(house: Any) -> None:
    above = house.launch("slow_above")
    there = house.home.folder / "there"
    house.home.until(there.exists, "the child", 180)
    killed = worker(house, above)
    for one in [*killed.children(recursive=True), killed]:
        one.kill()
    house.home.until(lambda: len(there.read_text()) > 1, "the child again", 180)
    (house.home.folder / "go").touch()
    house.until(above, "SUCCESS")
    assert [w for w in house.effects() if w.startswith("slow")] == ["slow-above", "slow-below", "slow-below-end"]
    parent = house.execution(above)
    child = child_of(parent, "succeeded")
    for id in (parent, child):
        house.home.assert_laws(id)


def test_a_branch_that_waits_goes_on_while_another_one_runs(house: Any) -> None:
    id = house.launch("branches")
    house.home.until(lambda: "b-runs" in house.effects(), "the other branch", 180)
    execution = house.execution(id)
    assert house.home.holdfast("signal", execution, "one", "--value", "1").status == 0
    house.home.until(lambda: "b-one" in house.effects(), "the branch to go on", 120)
    assert house.home.holdfast("signal", execution, "two", "--value", "2").status == 0
    house.until(id, "SUCCESS")
    assert [w for w in house.effects() if w.startswith("b-")] == ["b-before", "b-runs", "b-one", "b-ran", "b-last"]
    assert "RUN_SUSPENDED" not in house.kinds(id)
    said = house.said(id)
    assert "last [1, 2]" in said and said.count("told in time") == 1
    outputs = [e.step_key for e in house.events(id) if e.is_successful_output]
    assert outputs == ["before", "runs", "asks", "last"]
    house.home.assert_laws(execution)

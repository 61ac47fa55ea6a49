"""Somebody else's project: Dagster's own instance and launcher, a code location of another name, every step in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast_dagster.recovery import lost_runs  # noqa: E402

DEFINITIONS = """\
from pathlib import Path
import dagster as dg
from holdfast_dagster import build_definitions

@dg.op
def other():
    pass

@dg.job
def of_somebody_else():
    other()

preload = {"preload_modules": ["holdfast_dagster", "holdfast.engine.driver"]}
steps = dg.multiprocess_executor.configured({"start_method": {"forkserver": preload}})
defs = dg.Definitions.merge(
    build_definitions(Path(__file__).parent / "runbooks", prefix="ops_", executor=steps), dg.Definitions(jobs=[of_somebody_else])
)
"""
RULES = """
[rules.alarm]
runbook = "alarm"
event = "io.prometheus.alert.firing"
parameters = { n = "{{ data.n }}" }
"""


@pytest.fixture(scope="module")
def house(dagster_house: Callable[..., Any]) -> Iterator[Any]:
    """A stock instance whose daemon loads the code location ``platform`` from a workspace file."""
    with dagster_house("stock", DEFINITIONS, native=False, environment={"HOLDFAST_HOLD_FOR": "0"}) as made:
        folder: Path = made.home.folder
        book, record = made.home.runbook, made.record
        book("alarm", [("parameters", "n: int"), ("step:act", f"!echo acted-{{n}} >> {made.log}")])
        (made.home.runbooks / "rules.toml").write_text(RULES)
        book(
            "waits",
            [
                ("step:before", record("w-before")),
                ("step:asks", record("w-asks") + "from holdfast import signal\ngot = signal('go')", {"after": ["before"]}),
                ("step:beside", record("w-beside"), {"after": ["before"]}),
                ("step:join", f"open({str(made.log)!r}, 'a').write(f'w-join-{{got}}\\n')", {"after": ["asks", "beside"]}),
            ],
        )
        there, go = str(folder / "there"), str(folder / "go")
        stand = f"import os, time\nopen({there!r}, 'a').write('x')\nwhile not os.path.exists({go!r}): time.sleep(0.05)\n"
        book("slow", [("step:one", record("s-one")), ("step:two", record("s-two") + stand), ("step:three", record("s-three"))])
        at, on = str(folder / "at"), str(folder / "on")
        hold = f"open({at!r}, 'a').write('x')\nwhile not os.path.exists({on!r}): time.sleep(0.05)\n"
        book("outlives", [("step:one", record("o-one") + "import os, time\n" + hold + record("o-end")), ("step:two", record("o-two"))])
        book(
            "long",
            [
                ("step:one", record("l-one")),
                ("step:two", record("l-two") + "import time\ntime.sleep(600)"),
                ("step:three", record("l-three")),
            ],
        )
        book("patient", [("step:ask", record("p-ask") + "from holdfast import signal\nsignal('never')"), ("step:then", record("p-then"))])
        target = {"relative_path": "defs.py", "working_directory": str(folder), "location_name": "platform"}
        (folder / "workspace.yaml").write_text(json.dumps({"load_from": [{"python_file": target}]}))
        made.home.dagster("daemon", workspace=folder / "workspace.yaml")
        yield made


def told(house: Any) -> bool:
    """Whether the code location has said what it serves."""
    return any((house.home.home / "holdfast" / "served").glob("*.json"))


def launched(house: Any, book: str) -> str:
    """The id of a run launched from the command line."""
    house.home.until(lambda: told(house), "the code location to say what it serves")
    return str(house.home.holdfast("launch", house.home.runbooks / f"{book}.ipynb", "--json").json["run"])


def test_what_an_event_starts_is_shown_and_run_by_the_location_that_serves_it(house: Any) -> None:
    event = {"specversion": "1.0", "source": "/s", "type": "io.prometheus.alert.firing", "id": "1", "subject": "1", "data": {"n": 7}}
    (house.home.folder / "event.json").write_text(json.dumps(event))
    assert house.home.holdfast("events", "send", house.home.folder / "event.json").status == 0
    house.home.until(lambda: "acted-7" in house.effects(), "the runbook to act", 240)
    (run,) = house.instance.get_runs(filters=dg.RunsFilter(job_name="ops_alarm"))
    house.until(run.run_id, "SUCCESS")
    assert run.remote_job_origin.location_name == "platform"
    assert "STEP_WORKER_STARTED" in house.kinds(run.run_id), "by the executor of the project"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_step_that_waits_is_left_out_and_another_run_continues_while_its_neighbours_go_on(house: Any) -> None:
    first = launched(house, "waits")
    house.until(first, "SUCCESS", seconds=300)
    skipped = {e.step_key for e in house.events(first) if e.is_step_skipped}
    assert skipped == {"join"}
    assert sorted(house.effects()[-3:]) == ["w-asks", "w-before", "w-beside"]
    execution = house.execution(first)
    assert house.home.status(execution) == "suspended"
    assert house.home.holdfast("signal", execution, "go", "--value", '"well"').status == 0
    house.home.until(lambda: house.home.status(execution) == "succeeded", "the continuation", 300)
    second = next(r for r in house.instance.get_runs() if r.tags.get("holdfast/continues") == execution and r.run_id != first)
    house.until(second.run_id, "SUCCESS")
    assert [w for w in house.effects() if w.startswith("w-")][3:] == ["w-join-well"]
    house.home.assert_laws(execution)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_killed_between_its_steps_with_the_code_server_gone_is_missed_and_replaced(house: Any) -> None:
    id = launched(house, "slow")
    house.home.until((house.home.folder / "there").exists, "the second step", 300)
    worker = psutil.Process(int(house.run(id).tags[".dagster/holdfast_worker"].partition("/")[0].rpartition(":")[2]))
    family = worker.children(recursive=True)
    daemon = psutil.Process(house.home.running("daemon").pid)
    everybody = [daemon, *daemon.children(recursive=True)]
    assert worker in everybody, "the code server's child"
    for one in [*everybody, *family]:
        if one.is_running():
            one.kill()
    with Client.open() as client:
        house.home.until(lambda: [r.run_id for r in lost_runs(house.instance, client)] == [id], "the loss to be seen")
    (house.home.folder / "go").touch()
    house.home.dagster("daemon", workspace=house.home.folder / "workspace.yaml")
    execution = house.execution(id)
    house.home.until(lambda: house.home.status(execution) == "succeeded", "another run to bring it to its end", 300)
    assert house.run(id).status.value == "FAILURE"
    assert [w for w in house.effects() if w.startswith("s-")] == ["s-one", "s-two", "s-three"]
    house.home.assert_laws(execution)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("killed", ["worker", "worker-and-steps", "worker-and-daemon"])
def test_a_step_that_outlives_its_worker_is_waited_for_and_another_run_continues(house: Any, killed: str) -> None:
    for name in ("at", "on"):
        (house.home.folder / name).unlink(missing_ok=True)
    at, before = house.home.folder / "at", len(house.effects())
    first = launched(house, "outlives")
    house.home.until(at.exists, "the first step", 300)
    worker = psutil.Process(int(house.run(first).tags[".dagster/holdfast_worker"].partition("/")[0].rpartition(":")[2]))
    if killed == "worker-and-daemon":  # nobody marks the run as failed: the sensor takes it for lost, and does not wait to continue it
        daemon = psutil.Process(house.home.running("daemon").pid)
        for one in [*daemon.children(), daemon]:
            one.kill()
    for one in [worker, *(worker.children(recursive=True) if killed == "worker-and-steps" else ())]:
        if one.is_running():
            one.kill()
    if killed == "worker-and-daemon":
        house.home.dagster("daemon", workspace=house.home.folder / "workspace.yaml")
    house.until(first, "FAILURE", seconds=120)
    execution = house.execution(first)
    if killed == "worker":
        house.home.pause(45)  # longer than the sensor looks back
        assert house.runs_of(execution) == [first], "its step goes on"
    else:
        house.home.until(lambda: len(house.runs_of(execution)) == 2, "another run", 120)
        house.home.until(lambda: "STEP_WORKER_STARTED" in house.kinds(house.runs_of(execution)[0]), "its first step", 300)
    if killed == "worker-and-steps":
        house.home.until(lambda: len(at.read_text()) == 2, "the cell again", 120)
    house.home.pause(5)
    (house.home.folder / "on").touch()
    house.home.until(lambda: len(house.runs_of(execution)) == 2, "another run", 120)
    second = house.runs_of(execution)[0]
    house.until(second, "SUCCESS", seconds=300)
    assert at.read_text() == ("xx" if killed == "worker-and-steps" else "x"), "a cell that lives on is not begun beside itself"
    assert house.effects()[before:] == ["o-one", "o-end", "o-two"]
    house.home.pause(10)
    assert house.runs_of(execution) == [second, first]
    house.home.assert_laws(execution)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cancelled_while_a_step_runs_and_while_one_waits(house: Any) -> None:
    running, waiting = launched(house, "long"), launched(house, "patient")
    house.home.until(lambda: "l-two" in house.effects(), "the long step", 300)
    house.until(waiting, "SUCCESS", seconds=300)
    for id in (running, waiting):
        assert house.home.holdfast("cancel", house.execution(id), "--why", "enough").status == 0
        house.home.until(lambda id=id: house.home.status(house.execution(id)) == "cancelled", "the end", 120)
    house.home.until(lambda: house.run(running).is_finished, "the end of the run", 120)
    house.home.pause(15)  # two looks of the sensor
    assert [r for r in house.instance.get_runs() if not r.is_finished] == []
    assert not {"l-three", "p-then"} & set(house.effects())
    for id in (running, waiting):
        house.home.assert_laws(house.execution(id))

"""Somebody else holds Dagster's SQLite databases for longer than Dagster waits: the run goes on as itself, each effect once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.foundation import clock  # noqa: E402
from holdfast.testing.clocks import still_clock  # noqa: E402
from holdfast_dagster.resuming import look  # noqa: E402

#: Takes them all, says so, and lets go after so many seconds, or when its input ends.
HOLD = """\
import select, sqlite3, sys
held = [sqlite3.connect(path, isolation_level=None, timeout=60) for path in sys.argv[2:]]
for one in held:
    one.execute('BEGIN EXCLUSIVE')
print('held', flush=True)
select.select([sys.stdin], [], [], float(sys.argv[1]))
for one in held:
    one.execute('ROLLBACK')
"""
#: Dagster waits 5 s at its runs and 30 s at its event logs.
RUNS, EVENTS = 6.5, 35


@pytest.fixture
def house(dagster_house: Callable[..., Any]) -> Iterator[Any]:
    """A home without a daemon."""
    with dagster_house("locked", environment={"HOLDFAST_HOLD_FOR": "0", "HOLDFAST_FAULT_LOG": "strikes"}) as made:
        made.write_asks()
        yield made


@contextmanager
def held(house: Any, seconds: float, *databases: str) -> Iterator[Callable[[], None]]:
    """Within: these databases are another process's, for so long at most; they are let go of earlier when what it gives is called."""
    paths = [str(house.home.home / "history" / name) for name in databases]
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(seconds), *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdin is not None
    try:
        assert holder.stdout.readline() == "held\n"
        yield holder.stdin.close
        assert holder.wait(seconds + 120) == 0
    finally:
        holder.stdin.close()
        holder.wait(120)


def stopped(house: Any, point: str) -> int:
    """Wait until a process stands at the point; its id."""
    place = house.home.folder / "strikes"
    house.home.until(lambda: place.exists() and f"{point}@1" in place.read_text(), point, 120)
    return int(next(line for line in place.read_text().splitlines() if f"{point}@1" in line).split()[0])


def ended(house: Any, id: str) -> None:
    """As if nobody had held anything: in one run."""
    house.until(id, "SUCCESS")
    assert [r.run_id for r in house.instance.get_runs()] == [id]
    assert house.effects() == ["before", "asks", "after-well"]
    assert [house.kinds(id).count(kind) for kind in ("RUN_SUSPENDED", "RUN_RESUMED", "STEP_FAILURE", "RUN_FAILURE")] == [1, 1, 0, 0]
    house.home.assert_laws(house.execution(id))


def answered(house: Any, id: str) -> None:
    with Client.open() as client:
        client.signal(house.execution(id), "go", "well")
        with still_clock() as later:
            later.at = clock.now() + 60
            assert look(house.instance, client, None)[1] == [f"continued 1: {id}"]


@pytest.mark.parametrize(
    ("point", "database", "seconds"),
    [
        pytest.param("run.signed_off", "runs.db", RUNS),
        pytest.param("run.before_suspended", "runs.db", 20, marks=pytest.mark.slow),
        pytest.param("run.signed_off", "runs/{id}.db", EVENTS, marks=pytest.mark.slow),
        pytest.param("run.signed_off", "runs/index.db", EVENTS, marks=pytest.mark.slow),
    ],
)
def test_a_run_is_suspended_while_somebody_holds_the_database(house: Any, point: str, database: str, seconds: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_FAULTS", f"{point}=stop-once")
        id = house.launch("asks")
    worker = stopped(house, point)
    with held(house, seconds, database.format(id=id)):
        os.kill(worker, signal.SIGCONT)
    house.until(id, "SUSPENDED")
    answered(house, id)
    ended(house, id)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["runs.db", "runs/{id}.db", "runs/index.db"])
@pytest.mark.parametrize("point", ["run.before_resumed", "run.before_worker"])
def test_a_run_is_let_go_on_while_somebody_holds_the_database(house: Any, point: str, database: str) -> None:
    id = house.launch("asks")
    house.until(id, "SUSPENDED")
    with Client.open() as client:
        client.signal(house.execution(id), "go", "well")
    command = [sys.executable, "-m", "holdfast_dagster.wake", str(house.home.home)]
    with subprocess.Popen(command, env={**os.environ, "HOLDFAST_FAULTS": f"{point}=stop"}, cwd=house.home.folder) as waker:
        assert stopped(house, point) == waker.pid
        with held(house, 20 if database == "runs.db" else EVENTS, database.format(id=id)):
            os.kill(waker.pid, signal.SIGCONT)
        assert waker.wait(120) == 0
    ended(house, id)


@pytest.mark.slow
def test_all_databases_are_held_again_and_again_while_a_run_works_waits_and_goes_on(house: Any) -> None:
    """A new worker, its steps, its wait and its end, each under a lock that Dagster itself would not outlast."""
    with held(house, 1, "runs.db", "runs/index.db"):
        pass  # they are there
    id = house.launch("asks")
    for _ in range(2):
        with held(house, RUNS, "runs.db", "runs/index.db", f"runs/{id}.db"):
            pass
    house.until(id, "SUSPENDED")
    answered(house, id)
    for _ in range(2):
        with held(house, RUNS, "runs.db", "runs/index.db", f"runs/{id}.db"):
            pass
    ended(house, id)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_could_not_be_suspended_within_two_minutes_has_not_failed(house: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_FAULTS", "run.signed_off=stop-once")
        id = house.launch("asks")
    worker = stopped(house, "run.signed_off")
    with held(house, 400, "runs.db") as let_go:
        os.kill(worker, signal.SIGCONT)
        gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        house.home.until(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() in gone, "the worker leaves", 390)
        let_go()
    assert house.run(id).status.value == "STARTED"
    with Client.open() as client, still_clock() as later:
        later.at = clock.now() + 60
        assert look(house.instance, client, None)[1] == [f"recovered 1: {id}"]
    house.until(id, "SUSPENDED")
    answered(house, id)
    house.until(id, "SUCCESS")
    assert house.effects() == ["before", "asks", "after-well"]
    assert "RUN_FAILURE" not in house.kinds(id)
    house.home.assert_laws(house.execution(id))

"""SIGKILL at the points where journal and Dagster could disagree: while a run is suspended, let go on, or continued by another one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.foundation import clock  # noqa: E402
from holdfast.testing.clocks import still_clock  # noqa: E402
from holdfast_dagster.launching import launch  # noqa: E402
from holdfast_dagster.resuming import look  # noqa: E402

#: It cannot suspend runs, executes them in this process (Dagster's own launcher for tests), and nobody takes any from the queue.
STOCK = """\
run_launcher: {module: dagster._core.launcher.sync_in_memory_run_launcher, class: SyncInMemoryRunLauncher}
run_coordinator: {module: dagster.core.run_coordinator, class: QueuedRunCoordinator}
"""
HOLD = {"HOLDFAST_HOLD_FOR": "0"}


@pytest.fixture
def house(dagster_house: Callable[..., Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    """A home without a daemon: the test looks in its place."""
    options: dict[str, Any] = {"native": False, "settings": STOCK} if getattr(request, "param", "native") == "stock" else {}
    with dagster_house("faults", environment={**HOLD, "HOLDFAST_FAULT_LOG": "strikes"}, **options) as made:
        made.write_asks()
        yield made


@contextmanager
def faults(text: str) -> Iterator[None]:
    """Within: run workers that are started have these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_FAULTS", text)
        yield


def looked(house: Any, seconds: float = 60) -> list[str]:
    """What the sensor says when it looks so much later."""
    at = clock.now() + seconds
    with Client.open() as client, still_clock() as later:
        later.at = at
        return look(house.instance, client, None)[1]


def struck(house: Any, point: str) -> None:
    """Wait until the fault has ended its process."""
    place = house.home.folder / "strikes"
    house.home.until(lambda: place.exists() and point in place.read_text(), point, 120)


def signalled(house: Any, execution: str) -> None:
    """The answer, without anybody being told of it."""
    with Client.open() as client:
        client.signal(execution, "go", "well")


def woken(house: Any, point: str) -> None:
    """What an answer starts, killed at the point."""
    command = [sys.executable, "-m", "holdfast_dagster.wake", str(house.home.home)]
    done = subprocess.run(command, env={**os.environ, "HOLDFAST_FAULTS": f"{point}=kill"}, cwd=house.home.folder, check=False)
    assert done.returncode == -9


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("run.before_suspended"),
        pytest.param("run.signed_off", marks=pytest.mark.slow),
        pytest.param("run.after_suspended", marks=pytest.mark.slow),
    ],
)
def test_a_worker_killed_while_it_suspends_its_run(house: Any, point: str) -> None:
    with faults(f"{point}=kill-once"):
        id = house.launch("asks")
        struck(house, point)
    execution = house.execution(id)
    house.home.until(lambda: house.home.status(execution) == "suspended", "the journal")
    suspended = house.run(id).status.value == "SUSPENDED"
    assert suspended == (point == "run.after_suspended")
    signalled(house, execution)
    assert looked(house) == [f"{'continued' if suspended else 'recovered'} 1: {id}"]
    house.until(id, "SUCCESS")
    assert house.effects() == ["before", "asks", "after-well"]
    house.home.assert_laws(execution)


@pytest.mark.parametrize("point", [pytest.param("run.before_resumed", marks=pytest.mark.slow), pytest.param("run.before_worker")])
def test_whoever_lets_a_run_go_on_is_killed(house: Any, point: str) -> None:
    id = house.launch("asks")
    house.until(id, "SUSPENDED")
    signalled(house, house.execution(id))
    woken(house, point)
    assert house.run(id).status.value == ("SUSPENDED" if point == "run.before_resumed" else "STARTED")
    assert looked(house, 1) == []  # it may be about to go on
    assert looked(house) == [f"{'continued' if point == 'run.before_resumed' else 'recovered'} 1: {id}"]
    house.until(id, "SUCCESS")
    assert house.kinds(id).count("RUN_RESUMED") == 1
    assert house.effects() == ["before", "asks", "after-well"]
    house.home.assert_laws(house.execution(id))


@pytest.mark.parametrize("house", ["stock"], indirect=True)
def test_a_continuation_is_made_once_however_long_it_stands_in_the_queue_and_whoever_dies_before_it_is_there(house: Any) -> None:
    with Client.open() as client:
        first = launch(house.home.runbooks / "asks.ipynb", instance=house.instance, client=client).run
    house.instance.launch_run(first, None)
    assert house.run(first).status.value == "SUCCESS"
    signalled(house, house.execution(first))
    woken(house, "run.before_submitted")
    (made,) = [r for r in house.instance.get_runs() if r.run_id != first]
    assert made.status.value == "NOT_STARTED"
    assert looked(house, 1) == []
    assert looked(house) == [f"continued 1: {made.run_id}"]
    assert house.run(made.run_id).status.value == "QUEUED"
    assert looked(house, 120) == []
    assert len(house.instance.get_runs()) == 2

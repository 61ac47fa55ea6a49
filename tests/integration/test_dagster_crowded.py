"""What an operator's Dagster does besides: several daemons, a full queue, automatic retries, deleted runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast_dagster.launching import launch  # noqa: E402

SETTINGS = """\
concurrency: {runs: {max_concurrent_runs: 1}}
run_retries: {enabled: true, max_retries: 0}
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def house(dagster_house: Callable[..., Any]) -> Iterator[Any]:
    """A home with two daemons, in which one run is executed at a time."""
    environment = {"HOLDFAST_HOLD_FOR": "0", "HOLDFAST_RETRY_COUNT": "0"}
    with dagster_house("crowded", settings=SETTINGS, environment=environment) as made:
        book, note = made.home.runbook, made.note
        asks = "from holdfast import signal\ngot = signal('go')\n"
        first, last = (f"!echo {word}-{{n}} >> {made.log}" for word in ("first", "last"))
        book("asks", [("parameters", "n: int"), ("step:first", first), ("step:asks", asks), ("step:last", last)])
        third = f"import pathlib\nassert pathlib.Path({str(made.log)!r}).read_text().count('tried') > 2, 'not yet'\n"
        book("fails", [("step:made", made.record("made")), ("step:tries", note("tried") + third)])
        for _ in range(2):
            made.home.dagster("daemon")
        yield made


def begun(house: Any, n: int) -> tuple[str, str]:
    """A run of ``asks``, and its execution."""
    with Client.open() as client:
        launched = launch(house.home.runbooks / "asks.ipynb", {"n": n}, instance=house.instance, client=client)
    return launched.run, launched.execution


def test_runs_that_wait_leave_their_place_in_the_queue_and_two_daemons_do_nothing_twice(house: Any) -> None:
    runs = [begun(house, n) for n in range(3)]
    for run, _ in runs:
        house.until(run, "SUSPENDED", seconds=300)
    for _, execution in runs:
        assert house.home.holdfast("signal", execution, "go").status == 0
    for run, execution in runs:
        house.until(run, "SUCCESS", seconds=300)
        assert house.kinds(run).count("RUN_RESUMED") == house.kinds(run).count("RUN_SUSPENDED") == 1
        house.home.assert_laws(execution)
    assert sorted(house.effects()) == sorted([f"{word}-{n}" for n in range(3) for word in ("first", "last")])


def test_automatic_retries_of_dagster_continue_the_same_execution(house: Any) -> None:
    with Client.open() as client:
        first = launch(house.home.runbooks / "fails.ipynb", instance=house.instance, client=client, tags={"dagster/max_retries": "3"})
        house.home.until(lambda: client.get(first.execution).status == "succeeded", "the third try", 400)
    runs = [r for r in house.instance.get_runs() if r.job_name == "fails"]
    house.until(runs[0].run_id, "SUCCESS")
    assert sorted(r.status.value for r in house.instance.get_runs() if r.job_name == "fails") == ["FAILURE", "FAILURE", "SUCCESS"]
    assert {r.tags["holdfast/execution_id"] for r in runs} == {first.execution}
    assert house.effects().count("made") == 1
    house.home.assert_laws(first.execution)


def test_an_execution_whose_suspended_run_was_deleted_goes_on_as_another_run(house: Any) -> None:
    run, execution = begun(house, 7)
    house.until(run, "SUSPENDED", seconds=300)
    house.instance.delete_run(run)
    assert house.home.holdfast("signal", execution, "go").status == 0
    with Client.open() as client:
        house.home.until(lambda: client.get(execution).status == "succeeded", "another run to end it", 300)
    assert [w for w in house.effects() if w.endswith("-7")] == ["first-7", "last-7"]
    house.home.assert_laws(execution)

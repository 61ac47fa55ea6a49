"""A runbook's job and assets executed by Dagster's other doors: in this process, by its commands. What each does about a wait."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402


@pytest.fixture(scope="module")
def house(dagster_house: Callable[..., Any]) -> Iterator[Any]:
    """A home without a daemon."""
    with dagster_house("doors", environment={"HOLDFAST_HOLD_FOR": "0"}) as made:
        book, record = made.home.runbook, made.record
        for name in ("inside", "command"):
            asks = f"from holdfast import signal\ngot = signal('go')\n{made.note(f'{name}-got')}"
            book(name, [("step:before", record(f"{name}-before")), ("step:asks", asks), ("step:after", record(f"{name}-after"))])
        book("made", [("asset:first", record("made-first") + "1"), ("asset:second", record("made-second") + "2")])
        yield made


def dagster(house: Any, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of Dagster's on the home's definitions."""
    command = [sys.executable, "-m", "dagster", *words, "-f", str(house.home.folder / "defs.py")]
    return subprocess.run(
        command, cwd=house.home.folder, env=house.home.environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_in_this_process_a_step_that_waits_ends_the_run_and_a_worker_goes_on(house: Any) -> None:
    from holdfast_dagster import build_definitions

    defs = build_definitions(house.home.runbooks, sensors=False)
    result = defs.resolve_job_def("inside").execute_in_process()
    assert result.success
    assert {e.step_key for e in result.all_events if e.is_step_skipped} == {"after"}
    with Client.open() as client:
        (execution,) = [e.id for e in client.list() if e.runbook == "inside"]
        assert client.get(execution).status == "suspended"
        assert house.home.holdfast("signal", execution, "go").status == 0
        assert house.home.holdfast("worker", "--once").status == 0
        assert client.get(execution).status == "succeeded"
    assert [w for w in house.effects() if w.startswith("inside")] == ["inside-before", "inside-got", "inside-after"]
    house.home.assert_laws(execution)


def test_of_selected_ops_no_other_runs_and_one_whose_way_is_missing_is_refused(house: Any) -> None:
    from holdfast_dagster import build_definitions

    job = build_definitions(house.home.runbooks, sensors=False).resolve_job_def("inside")
    before = len(house.effects())
    alone = job.execute_in_process(op_selection=["asks"], raise_on_error=False)
    assert not alone.success
    (failed,) = [e.step_failure_data.error for e in alone.all_events if e.is_step_failure]
    assert failed is not None
    assert "HF253: the step comes after before" in failed.message
    first = job.execute_in_process(op_selection=["before"])
    assert first.success
    assert house.effects()[before:] == ["inside-before"]
    with Client.open() as client:
        newest = max((e for e in client.list() if e.runbook == "inside"), key=lambda e: e.created_at)
    assert newest.status == "paused", "a person may go on with the rest; nothing does so by itself"


def test_materialize_makes_the_assets_of_a_runbook_in_one_execution(house: Any) -> None:
    from holdfast_dagster import build_definitions

    defs = build_definitions(house.home.runbooks / "made.ipynb", sensors=False)
    result = dg.materialize(defs.assets, resources=dict(defs.resources or {}))
    assert result.success
    made = {e.asset_key.to_user_string() for e in result.get_asset_materialization_events()}
    assert made == {"first", "second", "executed_notebook/made"}
    with Client.open() as client:
        assert len([e for e in client.list() if e.runbook == "made"]) == 1


@pytest.mark.slow
def test_by_command_a_job_that_waits_is_suspended_and_goes_on_and_assets_are_made(house: Any) -> None:
    done = dagster(house, "job", "execute", "-j", "command")
    assert "RUN_SUSPENDED" in done.stderr, done.stderr[-3000:]
    (run,) = [r for r in house.instance.get_runs() if r.job_name == "command"]
    assert run.status.value == "SUSPENDED"
    execution = house.execution(run.run_id)
    assert house.home.holdfast("signal", execution, "go").status == 0
    house.until(run.run_id, "SUCCESS", seconds=240)
    assert [w for w in house.effects() if w.startswith("command")] == ["command-before", "command-got", "command-after"]
    before = house.effects().count("made-first")
    done = dagster(house, "asset", "materialize", "--select", "*")
    assert done.returncode == 0, done.stderr[-3000:]
    assert house.effects().count("made-first") == before + 1
    assert house.instance.get_latest_materialization_event(dg.AssetKey(["second"])) is not None

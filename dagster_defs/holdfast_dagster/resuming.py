"""Runs that waited go on: when the answer, the timer, the signal or the child of their execution is there."""

from __future__ import annotations

from typing import Any

import dagster as dg

from holdfast.client import Client
from holdfast.client.waking import claim_wake_up, due
from holdfast.model.execution import Execution
from holdfast_dagster import names
from holdfast_dagster.choosing import executions_of, run_of
from holdfast_dagster.internals import mark_resumed, start_worker_again
from holdfast_dagster.recovery import continue_in_a_new_run, recover_runs

#: Suspended runs whose executions are looked at in one tick, to find those that somebody else ended meanwhile.
_PAGE = 50


def resume_due(instance: dg.DagsterInstance, client: Client | None = None, *, by: str = "resume", workspace: Any = None) -> list[str]:
    """Start a worker for every run whose execution is due. Returns the ids of the runs, of the new one where one had to be launched.

    May be called from several processes at a time: one of them acts.

    Raises:
        StoreError: the journal cannot be reached.
    """
    if client is None:
        with Client.open() as own:
            return resume_due(instance, own, by=by, workspace=workspace)
    resumed = []
    for execution in due(client):
        run = run_of(instance, execution.id, execution.runbook)
        if run is None:  # it was not started by Dagster
            continue
        started = resume_run(instance, client, run, execution, by=by, workspace=workspace)
        if started is not None:
            resumed.append(started)
    return resumed


def resume_run(
    instance: dg.DagsterInstance, client: Client, run: dg.DagsterRun, execution: Execution, *, by: str = "resume", workspace: Any = None
) -> str | None:
    """Let the run go on, or continue its execution in a new run when it has ended; returns the id of the run, None when others act."""
    if run.status.value == "SUSPENDED":
        if not claim_wake_up(client, execution.id, by):
            return None
        mark_resumed(instance, run, f"The execution {execution.id} goes on")
        start_worker_again(instance, _again(instance, run), workspace)
        return run.run_id
    if run.is_finished and run.status != dg.DagsterRunStatus.CANCELED:
        if not claim_wake_up(client, execution.id, by):
            return None
        return continue_in_a_new_run(instance, run, execution)
    return None  # its worker is about to leave, or is gone and will be found


def settle_ended(instance: dg.DagsterInstance, client: Client, cursor: str | None, workspace: Any = None) -> str | None:
    """Look at one page of suspended runs for executions that went on elsewhere (``holdfast resume`` at a terminal) and have ended.

    Returns:
        where the next page begins; None: at the beginning.
    """
    status = getattr(dg.DagsterRunStatus, "SUSPENDED", None)
    if status is None:
        return None
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=[status]), limit=_PAGE, cursor=cursor)
    for run in runs:
        executions = executions_of(client, run)
        if executions and all(e.status.ended and e.owner is None for e in executions) and claim_wake_up(client, executions[0].id, "settle"):
            mark_resumed(instance, run, f"The execution {executions[0].id} has ended")
            start_worker_again(instance, _again(instance, run), workspace)
    return runs[-1].run_id if len(runs) == _PAGE else None


def _again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def build_resume_sensor(*, interval: int = 5) -> dg.SensorDefinition:
    """The safety net, one for all runbooks: continues what is due, and what lost its worker, however it came about.

    Args:
        interval: seconds between two looks, at least.
    """

    @dg.sensor(
        name=names.RESUME_SENSOR,
        minimum_interval_seconds=interval,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Continues runs whose question was answered or whose time has come, and runs whose worker died.",
    )
    def holdfast_resume(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with Client.open() as client:
            resumed = resume_due(context.instance, client, by="sensor")
            cursor = settle_ended(context.instance, client, context.cursor or None)
            recovered = recover_runs(context.instance, client)
        said = [f"continued {len(resumed)}: {', '.join(resumed)}"] if resumed else []
        said += [f"recovered {len(recovered)}: {', '.join(recovered)}"] if recovered else []
        return dg.SensorResult(skip_reason="; ".join(said) or "nothing is due", cursor=cursor or "")

    return holdfast_resume


#: The one that definitions take.
resume_sensor = build_resume_sensor()

__all__ = ["build_resume_sensor", "resume_due", "resume_run", "resume_sensor", "settle_ended"]

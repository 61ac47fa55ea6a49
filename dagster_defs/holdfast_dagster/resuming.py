"""Runs that waited go on: when the answer, the timer, the signal or the child of their execution is there."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Self

import dagster as dg
import msgspec
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from holdfast.client import Client
from holdfast.client.waking import claim_wake_up, driven_by, due
from holdfast.engine.faults import point
from holdfast.errors import AuthorError, HoldfastError, LookupFailedError, StoreError
from holdfast.model.execution import Execution, Status
from holdfast_dagster import names
from holdfast_dagster.children import adopt_children, family_run
from holdfast_dagster.choosing import executions_of, run_of
from holdfast_dagster.launcher import cancel_executions, let_go_on
from holdfast_dagster.launching import launch_existing
from holdfast_dagster.recovery import cancel_with_runs, continue_failed, continue_in_a_new_run, on_its_way, recover_runs
from holdfast_dagster.storing import outlast_locks

_log = logging.getLogger("holdfast.dagster")
#: Suspended runs whose executions are looked at in one tick, to find those that somebody else ended meanwhile.
_PAGE = 50
#: Seconds by which two looks for cancelled runs overlap: clocks differ.
_OVERLAP = 30.0
#: Runs that were to continue an execution and failed, after which no further one is started by itself: a person looks at them.
_FAILURES = 5
#: Seconds for which one look of the sensor continues what is due: Dagster waits for a sensor for a minute.
_TURN = 20.0
_GIVEN_UP = "given up"
#: Workers started in one go where the instance sets no limit.
_MANY = 1000


def resume_due(
    instance: dg.DagsterInstance,
    client: Client | None = None,
    *,
    by: str = "resume",
    workspace: Any = None,
    foreign: dict[str, float] | None = None,
    within: float | None = None,
) -> list[str]:
    """Start a worker for every run whose execution is due, the longest due first, as many as the machine takes at a time.

    May be called from several processes at a time: one of them acts.

    Args:
        by: who asks, for the record.
        workspace: Dagster's, for launchers that need one.
        foreign: what the caller keeps between two calls, for this function to remember what is due and not Dagster's.
        within: seconds after which the rest is left to the next call.

    Returns:
        the ids of the runs, of the new one where one had to be launched.

    Raises:
        StoreError: the journal cannot be reached.
    """
    if client is None:
        with Client.open() as own:
            return resume_due(instance, own, by=by, workspace=workspace, foreign=foreign, within=within)
    begun = client.store.now()
    resumed: list[str] = []
    room: int | None = None
    children = False
    for execution in due(client):
        if within is not None and client.store.now() - begun > within:
            break
        if foreign is not None and foreign.get(execution.id) == execution.updated_at:
            continue
        run = run_of(instance, execution.id, execution.runbook)
        if run is None:
            if execution.parent is not None and family_run(instance, client, execution) is not None:
                children = True
            elif driven_by(client, execution.id, "dagster", instance.root_directory):
                resumed += _anew(instance, client, execution, by=by)
            elif foreign is not None:  # it was not started by Dagster
                foreign[execution.id] = execution.updated_at
            continue
        room = workers_wanted(instance) if room is None else room
        if room <= len(resumed):
            break
        try:
            started = resume_run(instance, client, run, execution, by=by, workspace=workspace)
        except StoreError:
            raise
        except Exception as error:  # its notebook, its code location, its launcher: the others need not wait for it
            _log.error("execution %s: %s", execution.id, error, exc_info=not isinstance(error, HoldfastError))
            continue
        if started is not None:
            resumed.append(started)
    return resumed + (adopt_children(instance, client, by=by) if children else [])


def _anew(instance: dg.DagsterInstance, client: Client, execution: Execution, *, by: str) -> list[str]:
    """Somebody has deleted the run of a suspended execution: it goes on as another one."""
    if not claim_wake_up(client, execution.id, by):
        return []
    try:
        return [launch_existing(instance, execution).run]
    except (AuthorError, LookupFailedError) as error:
        _log.error("execution %s: %s", execution.id, error)
        return []


def workers_wanted(instance: dg.DagsterInstance) -> int:
    """How many more workers may be started for runs that go on: as many again as the queue starts, for these have waited once already."""
    queue = instance.get_concurrency_config().run_queue_config
    most = queue.max_concurrent_runs if queue is not None else -1
    if most < 0:
        return _MANY
    statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    return max(0, 2 * most - instance.get_runs_count(filters=dg.RunsFilter(statuses=statuses)))


def resume_run(
    instance: dg.DagsterInstance, client: Client, run: dg.DagsterRun, execution: Execution, *, by: str = "resume", workspace: Any = None
) -> str | None:
    """Let the run go on, or continue its execution in a new run when it has ended; returns the id of the run, None when others act."""
    if run.status.value == "SUSPENDED":
        if not claim_wake_up(client, execution.id, by):
            return None
        point("run.before_resumed")
        let_go_on(instance, run, f"The execution {execution.id} goes on", workspace)
        return run.run_id
    if run.is_finished and run.status != dg.DagsterRunStatus.CANCELED:
        if on_its_way(instance, execution.id) or _given_up(instance, run, execution) or not claim_wake_up(client, execution.id, by):
            return None
        return continue_in_a_new_run(instance, run, execution)
    return None  # its worker is about to leave, or is gone and will be found


def _given_up(instance: dg.DagsterInstance, run: dg.DagsterRun, execution: Execution) -> bool:
    """Whether so many runs could not continue the execution that a person has to look; the last one's log says so."""
    failed = dg.RunsFilter(tags={names.CONTINUES: execution.id}, statuses=[dg.DagsterRunStatus.FAILURE])
    if instance.get_runs_count(filters=failed) < _FAILURES:
        return False
    if run.tags.get(names.TOLD) != _GIVEN_UP:
        instance.add_run_tags(run.run_id, {names.TOLD: _GIVEN_UP})
        what = f"{_FAILURES} runs could not continue the execution {execution.id}, so no further one is started by itself"
        instance.report_engine_event(f"{what}. When the cause is mended: holdfast resume {execution.id}", run)
    return True


def settle_ended(instance: dg.DagsterInstance, client: Client, cursor: str | None, workspace: Any = None) -> str | None:
    """Look at one page of suspended runs for executions that went on elsewhere (``holdfast resume`` at a terminal) and have ended, and for
    those that somebody has paused, which the run's log then says.

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
            let_go_on(instance, run, f"The execution {executions[0].id} has ended", workspace)
            continue
        for paused in (e for e in executions if e.status == Status.PAUSED):
            told = f"{paused.id} {paused.updated_at}"
            if run.tags.get(names.TOLD) != told:
                instance.add_run_tags(run.run_id, {names.TOLD: told})
                instance.report_engine_event(
                    f"The execution {paused.id} is {paused.reason or 'paused'}; it goes on when a person says so", run
                )
    return runs[-1].run_id if len(runs) == _PAGE else None


def settle_cancelled(instance: dg.DagsterInstance, client: Client, since: float) -> list[str]:
    """Cancel the executions of runs that were cancelled past their worker after ``since`` (seconds since the epoch)."""
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED], updated_after=datetime.fromtimestamp(since, UTC))
    return cancel_with_runs(instance, client, list(instance.get_runs(filters=filters)))


def settle_backfills(instance: dg.DagsterInstance) -> list[str]:
    """Cancel the suspended runs of backfills that are being cancelled, which Dagster leaves alone where the launcher is not Holdfast's.

    Returns:
        the ids of these runs.
    """
    status = getattr(dg.DagsterRunStatus, "SUSPENDED", None)
    if status is None:
        return []
    found = []
    for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.CANCELING])):
        tags = {"dagster/backfill": backfill.backfill_id}
        for run in instance.get_runs(filters=dg.RunsFilter(tags=tags, statuses=[status])):
            cancel_executions(run)
            instance.report_run_canceled(run, "Cancelled with its backfill")
            found.append(run.run_id)
    return found


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How far the sensor has come."""

    at: float  # when it last looked
    page: str | None = None  # of suspended runs

    @classmethod
    def of(cls, cursor: str | None, now: float) -> Self:
        """What the cursor says; where it says nothing, a day is looked back."""
        try:
            return msgspec.json.decode(cursor or "", type=cls)
        except msgspec.MsgspecError:
            return cls(at=now - 86400)


def look(instance: dg.DagsterInstance, client: Client, cursor: str | None) -> tuple[str, list[str]]:
    """One look for everything that may go on, has ended elsewhere or was lost.

    Returns:
        the cursor for the next look; what was done.
    """
    seen = Seen.of(cursor, client.store.now())
    resumed = resume_due(instance, client, by="sensor", within=_TURN)
    page = settle_ended(instance, client, seen.page)
    cancelled = settle_backfills(instance) + settle_cancelled(instance, client, seen.at - _OVERLAP)
    recovered = recover_runs(instance, client) + continue_failed(instance, client, seen.at - _OVERLAP)
    adopted = adopt_children(instance, client, by="sensor")
    said = [f"continued {len(resumed)}: {', '.join(resumed)}"] if resumed else []
    said += [f"recovered {len(recovered)}: {', '.join(recovered)}"] if recovered else []
    said += [f"launched for children: {', '.join(adopted)}"] if adopted else []
    said += [f"cancelled with their runs: {', '.join(cancelled)}"] if cancelled else []
    return msgspec.json.encode(Seen(at=client.store.now(), page=page)).decode(), said


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
        outlast_locks()
        with Client.open() as client:
            cursor, said = look(context.instance, client, context.cursor)
        return dg.SensorResult(skip_reason="; ".join(said) or "nothing is due", cursor=cursor)

    return holdfast_resume


#: The one that definitions take.
resume_sensor = build_resume_sensor()

__all__ = ["build_resume_sensor", "look", "resume_due", "resume_run", "resume_sensor", "settle_cancelled", "settle_ended"]

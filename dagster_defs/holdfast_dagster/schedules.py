"""Schedules from the metadata of runbooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG
from dagster._utils.schedules import is_valid_cron_schedule

from holdfast.errors import AuthorError
from holdfast.model.execution import Execution, Status
from holdfast.notebook.scheduling import Schedule
from holdfast_dagster import names
from holdfast_dagster.config_schema import check_parameters, run_config
from holdfast_dagster.partitions import due_partitions
from holdfast_dagster.runbook import Runbook, dagster_name

#: Tag of runs that a schedule started: its name.
SCHEDULE = "holdfast/schedule"
#: Tag of runs that wait for each other: the queue lets one run per value go (see ``tag_concurrency_limits`` in dagster.yaml).
IN_TURN = "holdfast/in_turn"

#: How many of a schedule's latest runs that have ended are looked at for an execution that has not.
_LOOK_BACK = 25
_NO_TURNS = f"its dagster.yaml has no tag_concurrency_limits for {IN_TURN}, or no queue (see docs/how-to/run-with-dagster.md)"
_WAITING = (Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.PAUSED)
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
#: A run that was made and never submitted is none: the daemon died meanwhile. Its own tick submits it when it is evaluated again.
_NO_RUN = ("SUCCESS", "FAILURE", "CANCELED", "MANAGED", "NOT_STARTED")
_UNFINISHED = [s for s in dg.DagsterRunStatus if s.value not in _NO_RUN]


def build_schedules(runbook: Runbook, job: Any, further: list[Schedule] | None = None) -> list[dg.ScheduleDefinition]:
    """The schedules of a runbook: those its metadata names, and ``further`` ones.

    Raises:
        AuthorError: HF103, HF190.
    """
    own = runbook.card.schedules
    found: dict[str, dg.ScheduleDefinition] = {}
    for number, schedule in enumerate([*own, *(further or [])]):
        name = schedule_name(runbook, schedule)
        if name in found:
            raise runbook.error(f"two schedules are called {name!r}", "give each a 'name' of its own")
        try:
            found[name] = _schedule(runbook, job, schedule, name)
        except AuthorError as error:
            if number < len(own):
                raise
            where = "not in the notebook, but in defs.yaml or where build_definitions is called"
            raise runbook.error(f"the schedule {name!r} does not fit: {error.what}", f"correct it {where}") from None
    return list(found.values())


def schedule_name(runbook: Runbook, schedule: Schedule) -> str:
    """Stable: made from the names of runbook and schedule alone."""
    return f"{runbook.name}__{dagster_name(schedule.name)}" if schedule.name else f"{runbook.name}__schedule"


def _schedule(runbook: Runbook, job: Any, schedule: Schedule, name: str) -> dg.ScheduleDefinition:
    if not is_valid_cron_schedule(schedule.cron):
        raise runbook.error(f"schedule {name!r}: {schedule.cron!r} is no cron expression", "write five fields: 30 6 * * 1-5")
    parameters = check_parameters(runbook, schedule.parameters)
    config = run_config(runbook, parameters)

    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        at = context.scheduled_execution_time
        tick_key = f"{name}/{at.isoformat()}"
        unfinished = _unfinished(context, name, tick_key)
        if unfinished and schedule.overlap == "skip":
            keys = [key for key in due_partitions(runbook, at, context.instance) if key is not None]
            left = f"; backfill what is left out: {', '.join(keys)}" if keys else ""
            yield dg.SkipReason(f"{_told(unfinished)} started by this schedule has not ended yet (overlap: skip){left}")
            return
        if schedule.overlap == "replace":
            _replace(context, unfinished)
        if schedule.overlap == "queue" and unfinished and not _takes_turns(context.instance):
            context.log.warning(f"{_told(unfinished)} has not ended, and this instance lets both go on: {_NO_TURNS}")
        for key in due_partitions(runbook, at, context.instance):
            yield dg.RunRequest(
                run_key=tick_key + (f"/{key}" if key is not None else ""),
                run_config=config,
                partition_key=key,
                tags={SCHEDULE: name, **({IN_TURN: name} if schedule.overlap == "queue" else {})},
            )

    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        execution_fn=tick,
        description=_described(runbook, schedule, parameters),
        default_status=dg.DefaultScheduleStatus.RUNNING if schedule.enabled else dg.DefaultScheduleStatus.STOPPED,
        metadata={names.RUNBOOK: runbook.name},
    )


_OVERLAPS = {
    "skip": "the tick is left out",
    "queue": "the next one waits in the queue",
    "replace": "it is cancelled",
    "allow": "both go on",
}


def _described(runbook: Runbook, schedule: Schedule, parameters: Mapping[str, Any]) -> str:
    """For people who look at the schedule's page."""
    given = ", ".join(f"{name} = {value!r}" for name, value in parameters.items())
    return (
        f"Executes “{runbook.manifest.title}” with {given or 'its default parameters'}. "
        f"While one that it started has not ended, {_OVERLAPS[schedule.overlap]} (overlap: {schedule.overlap})."
    )


def _unfinished(context: dg.ScheduleEvaluationContext, name: str, tick_key: str) -> list[dg.DagsterRun]:
    """Runs that earlier ticks started and whose execution has not ended: also one that waits while Dagster calls its run a success.

    Runs of this very tick do not count: it is evaluated again when the daemon died before it had submitted all of them.
    """
    ours, get_runs = {SCHEDULE: name}, context.instance.get_runs
    found = list(get_runs(filters=dg.RunsFilter(tags=ours, statuses=_UNFINISHED)))
    ended = get_runs(filters=dg.RunsFilter(tags=ours, statuses=_ENDED), limit=_LOOK_BACK)
    earlier = [r for r in ended if not _of_tick(r, tick_key)]
    if earlier:
        from holdfast.client import Client
        from holdfast_dagster.choosing import executions_of

        with Client.open() as client:
            now = client.store.now()
            found += [r for r in earlier if any(_goes_on(e, r, now) for e in executions_of(client, r))]
    return [r for r in found if not _of_tick(r, tick_key)]


def _goes_on(execution: Execution, run: dg.DagsterRun, now: float) -> bool:
    """Whether the execution of a run that has ended has not: it waits, or another run works on it."""
    if run.status == dg.DagsterRunStatus.SUCCESS or execution.status in (Status.SUSPENDED, Status.PAUSED):
        return execution.status in _WAITING
    return execution.status == Status.RUNNING and (execution.lease_until or 0.0) > now


def _of_tick(run: dg.DagsterRun, tick_key: str) -> bool:
    key = run.tags.get(RUN_KEY_TAG, "")
    return key == tick_key or key.startswith(f"{tick_key}/")


def _takes_turns(instance: dg.DagsterInstance) -> bool:
    queue = instance.get_concurrency_config().run_queue_config
    return queue is not None and any(limit.get("key") == IN_TURN for limit in queue.tag_concurrency_limits)


def _told(runs: list[dg.DagsterRun]) -> str:
    return f"run {runs[0].run_id[:8]}" + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")


def _replace(context: dg.ScheduleEvaluationContext, runs: list[dg.DagsterRun]) -> None:
    """End what earlier ticks started: the runs, and the executions of those that have ended and wait."""
    from holdfast_dagster.launcher import cancel_executions

    for run in runs:
        context.log.info(f"run {run.run_id} gives way (overlap: replace)")
        if not run.is_finished:
            context.instance.run_coordinator.cancel_run(run.run_id)
        cancel_executions(run)

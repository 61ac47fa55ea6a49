"""Runs whose worker died: found, reported, and continued with nothing done twice."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
from dagster._core.launcher.base import LaunchRunContext

from holdfast.client import Client
from holdfast.client.waking import claim_wake_up, orphans
from holdfast.engine import identity
from holdfast.engine.faults import point
from holdfast.errors import LookupFailedError
from holdfast.model.execution import BETWEEN, Execution, Status
from holdfast_dagster import names
from holdfast_dagster.choosing import executions_of, run_of
from holdfast_dagster.internals import start_worker_again
from holdfast_dagster.launcher import GRACE, HoldfastRunLauncher, alive, cancel_executions, signed_off, worker_of
from holdfast_dagster.launching import launch_existing

_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_ON_ITS_WAY = [dg.DagsterRunStatus.QUEUED, *_UNDER_WAY]
#: Seconds that Dagster's run monitoring has, beside two of its looks, to replace a worker on another machine whose lease has run out.
_PATIENCE = 60.0
_CANCELLED = "cancelled"
#: Dagster's tag on a failed run that it will re-execute by itself.
_WILL_RETRY = "dagster/will_retry"


def lost_runs(instance: dg.DagsterInstance, client: Client) -> list[dg.DagsterRun]:
    """Runs that are under way in the event log and whose worker is gone.

    A worker of this machine is known by its process. One of another machine is taken for gone when the lease of an execution that it had
    under way has run out. A run that was let go on and got no worker is lost, too.
    """
    records = instance.get_run_records(filters=dg.RunsFilter(statuses=_UNDER_WAY))
    now = client.store.now()
    # Holdfast's launcher writes the worker down as it starts it; a pod may take minutes to come up and sign
    writes = isinstance(instance.run_launcher, HoldfastRunLauncher)
    # run monitoring knows pods, and would start another one beside ours
    looks = not writes and instance.run_monitoring_enabled and instance.run_launcher.supports_check_run_worker_health
    patience = _PATIENCE + 2 * instance.run_monitoring_poll_interval_seconds if looks else 0.0
    return [
        r.dagster_run
        for r in records
        if _is_lost(client, r.dagster_run, now - r.update_timestamp.timestamp() if writes else 0.0, now - patience)
    ]


def _is_lost(client: Client, run: dg.DagsterRun, quiet: float, since: float) -> bool:
    worker = worker_of(run)
    if worker is None:
        return signed_off(run) and run.status == dg.DagsterRunStatus.STARTED and quiet > GRACE
    if identity.gone(worker):
        return True
    if alive(worker):
        return False
    executions = [e for e in executions_of(client, run) if e.status == Status.RUNNING]
    return any(e.lease_until is not None and e.lease_until <= since for e in executions)


def recover_runs(instance: dg.DagsterInstance, client: Client) -> list[str]:
    """Continue the runs that lost their worker; returns their ids (of the new run, where the launcher cannot resume one).

    Where run monitoring is on, it does the same; whoever comes second finds a worker at work.
    """
    recovered = []
    for run in lost_runs(instance, client):
        gone = worker_of(run) or "The worker that was to be started"
        if run.status == dg.DagsterRunStatus.CANCELING:
            cancel_executions(run)
            instance.report_run_canceled(run, f"Cancelled; {gone} was gone already")
        elif isinstance(instance.run_launcher, HoldfastRunLauncher) and run.status == dg.DagsterRunStatus.STARTING:
            instance.report_engine_event(f"{gone} died before it could begin; another one is started", run)
            instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        elif instance.run_launcher.supports_resume_run:
            instance.report_engine_event(f"{gone} is gone; another worker is started", run)
            start_worker_again(instance, run)
        else:
            recovered += _replaced(instance, client, run)
            continue
        recovered.append(run.run_id)
    return recovered


def _replaced(instance: dg.DagsterInstance, client: Client, run: dg.DagsterRun) -> list[str]:
    """The launcher cannot resume: the run has failed, and a new one continues what it worked on."""
    executions = executions_of(client, run)
    instance.report_run_failed(run, f"{worker_of(run)} is gone; another run continues what it worked on")
    unfinished = [e for e in executions if not e.status.ended]
    if not unfinished or run.job_code_origin is None:  # made by a program that is gone: nobody else has its definitions
        return []
    return [continue_in_a_new_run(instance, run, unfinished[0])]


def continue_failed(instance: dg.DagsterInstance, client: Client, since: float) -> list[str]:
    """Continue the executions of runs that Dagster has marked as failed after ``since`` (seconds since the epoch) because their worker
    died: those in which no step has failed, and that Dagster itself does not try again. A run whose steps live on is looked at again.

    Returns:
        the ids of the new runs.
    """
    failed = [dg.DagsterRunStatus.FAILURE]
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=failed, updated_after=datetime.fromtimestamp(since, UTC)))
    runs = [*runs, *instance.get_runs(filters=dg.RunsFilter(statuses=failed, tags={names.TO_CONTINUE: "true"}))]
    found = []
    left: set[str] | None = None
    for run in {r.run_id: r for r in runs}.values():
        worker = run.tags.get(names.WORKER, "")
        if not identity.gone(worker) or run.job_code_origin is None or run.tags.get(_WILL_RETRY) == "true":
            continue
        left = {e.id for e in orphans(client)} if left is None else left
        later = False
        for execution in executions_of(client, run):
            dropped = execution.id in left or (execution.status == Status.SUSPENDED and execution.reason == BETWEEN)
            latest = run_of(instance, execution.id, execution.runbook)
            if not (dropped or execution.status == Status.RUNNING) or latest is None or latest.run_id != run.run_id:
                continue
            if _step_failed(instance, run.run_id):
                continue
            later = True  # a step may have outlived the worker; or somebody has claimed it, and may die before a run is there
            if dropped and not on_its_way(instance, execution.id) and claim_wake_up(client, execution.id, "recovery"):
                found.append(continue_in_a_new_run(instance, run, execution))
                break
        if later != (run.tags.get(names.TO_CONTINUE) == "true"):
            instance.add_run_tags(run.run_id, {names.TO_CONTINUE: str(later).lower()})
    return found


def _step_failed(instance: dg.DagsterInstance, run_id: str) -> bool:
    return bool(instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE))


def cancel_with_runs(instance: dg.DagsterInstance, client: Client, runs: list[dg.DagsterRun]) -> list[str]:
    """Cancel the executions of runs that Dagster has marked as cancelled without their worker: queued ones, and suspended ones by force.

    Returns:
        the ids of the runs that had something to cancel.
    """
    found = []
    for run in runs:
        if run.tags.get(names.TOLD) == _CANCELLED:
            continue
        unfinished = [e for e in [*executions_of(client, run), *_promised(client, run)] if not e.status.ended]
        if unfinished:
            instance.add_run_tags(run.run_id, {names.TOLD: _CANCELLED})
            cancel_executions(run, unfinished)  # a worker that is there hears of it
            instance.report_engine_event(f"With the run, {', '.join(e.id for e in unfinished)} is cancelled", run)
            found.append(run.run_id)
    return found


def _promised(client: Client, run: dg.DagsterRun) -> list[Execution]:
    """The execution that a launched run was to begin, and did not come to."""
    promised = run.tags.get(names.CONTINUES)
    if promised is None or run.parent_run_id is not None or run.tags.get(names.EXECUTION):
        return []
    try:
        header = client.get(promised)
    except LookupFailedError:
        return []
    return [header] if header.status == Status.QUEUED else []


def continuation(instance: dg.DagsterInstance, execution: str) -> dg.DagsterRun | None:
    """The run that is to continue an execution and has not come to its end: in the queue, about to start, or never submitted."""
    filters = dg.RunsFilter(tags={names.CONTINUES: execution}, statuses=[dg.DagsterRunStatus.NOT_STARTED, *_ON_ITS_WAY])
    return next((r for r in instance.get_runs(filters=filters) if r.parent_run_id is None), None)


def on_its_way(instance: dg.DagsterInstance, execution: str) -> bool:
    """Whether a run that continues the execution was submitted already: it may stand in the queue for long."""
    there = continuation(instance, execution)
    return there is not None and there.status != dg.DagsterRunStatus.NOT_STARTED


def continue_in_a_new_run(instance: dg.DagsterInstance, run: dg.DagsterRun, execution: Execution) -> str:
    """Submit a copy of ``run`` that continues ``execution``, or the one that somebody made who did not come to submit it; returns its id.

    Of a run that a program made by itself (``execute_in_process``) there can be no copy: then it is one of the notebook's own job.

    Raises:
        LookupFailedError: HF605, AuthorError: that notebook is gone, or broken by now.
    """
    if run.job_code_origin is None and run.remote_job_origin is None:
        return launch_existing(instance, execution).run
    again = continuation(instance, execution.id)
    if again is None:
        again = _copy(instance, run, execution)
        point("run.before_submitted")
    if again.status != dg.DagsterRunStatus.NOT_STARTED:
        return again.run_id
    if again.remote_job_origin is None:  # made by a program, not through a code location: the queue does not take it
        instance.launch_run(again.run_id, workspace=None)  # type: ignore[arg-type]
    else:
        instance.submit_run(again.run_id, workspace=None)  # type: ignore[arg-type]
    return again.run_id


def _copy(instance: dg.DagsterInstance, run: dg.DagsterRun, execution: Execution) -> dg.DagsterRun:
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id) if run.execution_plan_snapshot_id else None
    job = instance.get_job_snapshot(run.job_snapshot_id) if run.job_snapshot_id else None
    root = run.tags.get("dagster/root_run_id") or run.run_id
    kept = {k: v for k, v in run.tags.items() if not k.startswith((".dagster/", names.EXECUTION))}
    tags = {**kept, names.CONTINUES: execution.id, "dagster/parent_run_id": run.run_id, "dagster/root_run_id": root}
    return instance.create_run(
        job_name=run.job_name,
        run_id=None,
        run_config=run.run_config,
        status=None,
        tags=tags,
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=run.step_keys_to_execute,
        execution_plan_snapshot=plan,
        job_snapshot=job,
        parent_job_snapshot=None,
        asset_selection=run.asset_selection,
        asset_check_selection=run.asset_check_selection,
        resolved_op_selection=run.resolved_op_selection,
        op_selection=run.op_selection,
        remote_job_origin=run.remote_job_origin,
        job_code_origin=run.job_code_origin,
        asset_graph=None,  # type: ignore[arg-type]
    )

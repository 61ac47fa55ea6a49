"""The only module that touches what Dagster does not promise of runs: suspending and resuming them. Its contract test, which runs with
each Dagster, is also that of :mod:`holdfast_dagster.storing`.

Dagster 1.13.26 and later know the run status SUSPENDED, which nothing in Dagster writes yet. The executor here writes it: a step that must
wait leaves no end in the event log, the run becomes SUSPENDED and its process ends; a launcher that can resume runs starts another one for
the same run, which skips the steps that are done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import dagster as dg
from dagster._core.definitions.step_launcher import StepLauncher
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext, StepExecutionContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import _trigger_hook, dagster_event_sequence_for_step
from dagster._core.execution.plan.execute_step import core_dagster_event_sequence_for_step
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.base import Executor
from dagster._core.origin import JobPythonOrigin
from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.dagster_run import CANCELABLE_RUN_STATUSES
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.record import copy
from sqlalchemy.exc import DBAPIError

from holdfast.engine.faults import point
from holdfast.engine.identity import this_process
from holdfast.notebook.grammars import skip_grammars
from holdfast_dagster import names, sessions
from holdfast_dagster.storing import complain, keep_engines, trouble
from holdfast_dagster.suspension import Superseded, Suspended

_INTERRUPTED = "Execution was interrupted unexpectedly. No user initiated termination request was found, not treating as failure"


def why_not_native(instance: dg.DagsterInstance) -> str | None:
    """Why runs of this instance cannot be suspended; None when they can."""
    if not hasattr(dg.DagsterRunStatus, "SUSPENDED") or not hasattr(DagsterEvent, "job_suspended"):
        return f"Dagster {dg.__version__} has no run status SUSPENDED (1.13.26 has)"
    if not instance.run_launcher.supports_resume_run:
        return f"{type(instance.run_launcher).__name__} cannot resume runs"
    if not instance.run_monitoring_enabled:
        return "run monitoring is off"
    if instance.run_monitoring_max_resume_run_attempts <= 0:
        return "run_monitoring.max_resume_run_attempts is 0"
    return None


def _no_more_attempts(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Dagster takes a run for failed that is suspended and may not be resumed."""
    if instance.run_will_resume(run_id):
        return None
    return f"the run has been resumed {instance.count_resume_run_attempts(run_id)} times, and max_resume_run_attempts allows no more"


def mark_resumed(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    """SUSPENDED -> STARTED in the event log."""
    event = DagsterEvent(event_type_value=DagsterEventType.RUN_RESUMED.value, job_name=run.job_name, message=message)
    instance.report_dagster_event(event, run_id=run.run_id)


def start_worker_again(instance: dg.DagsterInstance, run: dg.DagsterRun, workspace: Any = None) -> None:
    """A new worker for a run that has none, counted as the run monitor counts."""
    instance.resume_run(run.run_id, workspace, instance.count_resume_run_attempts(run.run_id) + 1)


def replace_code(instance: dg.DagsterInstance, run_id: str, origin: JobPythonOrigin) -> dg.DagsterRun | None:
    """Have the workers of a run take its definitions from ``origin`` from now on; the run as it is then, None when it came from no code
    location. Dagster has no door for this: what it uses to move a run to another location writes the whole run."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.remote_job_origin is None:
        return None
    instance._run_storage.replace_job_origin(copy(run, job_code_origin=origin), run.remote_job_origin)
    return instance.get_run_by_id(run_id)


def let_suspended_be_cancelled() -> None:
    """Let Dagster's pages, its API and its backfills cancel suspended runs: Dagster knows the status, but not yet that it can be cancelled,
    and a cancelled backfill would wait for such a run for ever. The launcher must be able to."""
    status = getattr(dg.DagsterRunStatus, "SUSPENDED", None)
    if status is not None and status not in CANCELABLE_RUN_STATUSES:
        CANCELABLE_RUN_STATUSES.append(status)


def past_retries(events: Sequence[DagsterEvent]) -> list[DagsterEvent]:
    """``events`` of a run, so that a retry that was made already is not waited for again: Dagster, going through them, would take what came
    of it for the end of a step that nobody has started."""
    last = {event.step_key: n for n, event in enumerate(events)}
    return [
        event._replace(event_specific_data=event.step_retry_data._replace(seconds_to_wait=None))
        if event.is_step_up_for_retry and n < last[event.step_key]
        else event
        for n, event in enumerate(events)
    ]


class _Watched(StepLauncher):
    """Runs a step here; a step that waits, or whose worker must leave, ends without an event."""

    def __init__(self) -> None:
        self.left: Suspended | Superseded | None = None

    def launch_step(self, step_context: StepExecutionContext) -> Iterator[DagsterEvent]:
        """The step's events."""
        try:
            yield from core_dagster_event_sequence_for_step(step_context)
        except (Suspended, Superseded) as left:
            self.left = left
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            run = step_context.instance.get_run_by_id(step_context.run_id)
            if run is None or run.status != dg.DagsterRunStatus.STARTED or not step_context.instance.run_will_resume(run.run_id):
                raise
            self.left = Superseded("the worker was told to end; another one goes on")


class HoldfastExecutor(Executor):
    """Runs the steps of a run one after the other in this process; suspends the run when nothing but waiting steps is left."""

    @property
    def retries(self) -> RetryMode:
        """Steps are retried by the journal's count; other ops of the job by their own policies."""
        return RetryMode.ENABLED

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """The events of the run between its start and its end."""
        skip_grammars()
        keep_engines()
        instance, run_id = plan_context.instance, plan_context.run_id
        obstacle = why_not_native(instance) or _no_more_attempts(instance, run_id)
        resumed = plan_context.resume_from_failure
        how = "suspends the run while it waits" if obstacle is None else f"leaves waiting steps to a later run: {obstacle}"
        data = EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute)
        yield DagsterEvent.engine_event(plan_context, f"Holdfast executor in process {os.getpid()}; {how}", data)
        self._sign(instance, plan_context.dagster_run)
        sessions.announce(run_id, sessions.Manners(suspends=obstacle is None, resumed=resumed))
        manager = PlanExecutionContextManager(
            job=plan_context.job,
            retry_mode=plan_context.retry_mode,
            execution_plan=plan_context.execution_plan,
            run_config=plan_context.run_config,
            dagster_run=plan_context.dagster_run,
            instance=instance,
            raise_on_error=plan_context.raise_on_error,
            output_capture=plan_context.output_capture,
        )
        try:
            yield from manager.prepare_context()
            context = manager.get_context()
            if context is not None:
                yield from _Walk(plan_context, context, execution_plan).events(resumed)
        except DBAPIError as error:
            if obstacle is not None:
                raise
            why = trouble(instance, error)
            complain(f"This worker leaves run {run_id}, which has not failed by that: {why}")
            open_sessions = sessions.sessions_of(run_id)
            if open_sessions is not None:
                open_sessions.leave(why)
            raise dg.DagsterExecutionInterruptedError(why) from error  # whoever finds the run without a worker starts another one
        finally:
            yield from manager.shutdown_context()
            sessions.forget(run_id)

    @staticmethod
    def _sign(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
        """Say who works on the run, whoever launched it: a worker that dies can be told from one that is slow."""
        me = this_process(sessions.worker_label(run.run_id)).text
        if run.tags.get(names.WORKER) != me:
            instance.add_run_tags(run.run_id, {names.WORKER: me})


class _Walk:
    """One process's way through the plan of a run."""

    def __init__(self, plan_context: PlanOrchestrationContext, context: PlanExecutionContext, plan: ExecutionPlan) -> None:
        self._plan_context, self._context, self._plan = plan_context, context, plan
        self._instance, self._run_id = plan_context.instance, plan_context.run_id
        self._waiting: dict[str, tuple[StepExecutionContext, Suspended]] = {}  # step key -> its context, why it waits
        self._failed = False

    def events(self, resumed: bool) -> Iterator[DagsterEvent]:
        """All of them."""
        with (
            InstanceConcurrencyContext(self._instance, self._plan_context.dagster_run) as slots,
            ActiveExecution(self._plan, retry_mode=RetryMode.ENABLED, instance_concurrency_context=slots) as active,
            ExitStack() as stack,
        ):
            yield from self._captured(stack)
            first = yield from self._rebuilt(active) if resumed else []
            while not active.is_complete:
                step = first.pop(0) if first else self._revived() or active.get_next_step()
                yield from active.concurrency_event_iterator(self._context)
                if step is not None:
                    left = yield from self._step(active, step)
                    if left is not None:
                        yield DagsterEvent.engine_event(self._plan_context, f"This worker leaves the run: {left.reason}", EngineEventData())
                        active.mark_interrupted()
                        return
                elif self._waiting and not self._busy(active):
                    yield from self._wait(active)
                    return
                else:
                    active.sleep_til_ready()
            if self._failed:
                yield from self._always(active)
            open_sessions = sessions.sessions_of(self._run_id)
            if open_sessions is not None and open_sessions.cancelled():
                self._cancel()

    def _revived(self) -> ExecutionStep | None:
        """A step that waited and has gone on in its kernel while another one ran: what became of it is still to be told."""
        for key, (step_context, left) in self._waiting.items():
            if (went_on := left.details.get("went_on")) is not None and went_on():
                del self._waiting[key]
                return step_context.step
        return None

    def _captured(self, stack: ExitStack) -> Iterator[DagsterEvent]:
        """What the process prints goes where Dagster keeps the output of runs."""
        manager: ComputeLogManager[Any] = self._instance.compute_log_manager
        key = manager.build_log_key_for_run(self._run_id, f"holdfast-{os.getpid()}")
        try:
            captured = stack.enter_context(manager.capture_logs(key))
        except Exception as error:  # no reason not to run
            yield DagsterEvent.engine_event(self._plan_context, f"Output is not captured: {error}", EngineEventData())
            return
        keys = [step.key for step in self._plan.get_steps_to_execute_in_topo_order()]
        yield DagsterEvent.capture_logs(self._context, keys, key, captured)

    def _rebuilt(self, active: ActiveExecution) -> Any:
        """Bring ``active`` to where the run's earlier workers came; returns the steps that were under way.

        Failures are yielded again: whoever consumes the events decides by them how the run ends.
        """
        logged = [e.dagster_event for e in self._instance.all_logs(self._run_id) if e.is_dagster_event and e.dagster_event]
        prior = [e for e in logged if e.step_key and not e.is_step_skipped]
        for event in prior:
            if event.is_step_failure:
                self._failed = True
                yield event
        under_way = list(active.rebuild_from_events(past_retries(prior)))
        for step in under_way:
            if step.pool is not None:  # it gave its slot back when it was suspended, and comes when it has claimed one again
                active._in_flight.discard(step.key)
                active._executable.append(step.key)
        return [step for step in under_way if step.pool is None]

    def _step(self, active: ActiveExecution, step: ExecutionStep) -> Any:
        """Run one step; returns why this worker must leave, if it must."""
        step_context = self._context.for_step(step, active.get_known_state())
        watched = _Watched()
        if step_context.step_launcher is None:
            step_context._step_launcher = watched
        seen: list[DagsterEvent] = []
        for event in dagster_event_sequence_for_step(step_context):
            seen.append(event)
            self._failed = self._failed or event.is_step_failure
            yield event
            active.handle_event(event)
        if isinstance(watched.left, Superseded):
            return watched.left
        if watched.left is not None:
            self._waiting[step.key] = step_context, watched.left
            self._instance.event_log_storage.free_concurrency_slot_for_step(self._run_id, step.key)
            yield DagsterEvent.engine_event(step_context, watched.left.reason, EngineEventData(watched.left.details.get("links")))
            return None
        active.verify_complete(self._context, step.key)
        for event in active.plan_events_iterator(self._context):
            seen.append(event)
            yield event
        yield from _trigger_hook(step_context, seen)
        return None

    def _always(self, active: ActiveExecution) -> Iterator[DagsterEvent]:
        """After a failure: the steps tagged ``always``. Dagster leaves them out, as steps above them failed."""
        begun = {
            e.dagster_event.step_key for e in self._instance.all_logs(self._run_id) if e.dagster_event and e.dagster_event.is_step_start
        }
        for step in self._plan.get_steps_to_execute_in_topo_order():
            if step.tags.get(names.ALWAYS) == "true" and step.key not in begun:
                step_context = self._context.for_step(step, active.get_known_state())
                yield from dagster_event_sequence_for_step(step_context)

    def _busy(self, active: ActiveExecution) -> bool:
        """Whether a step that does not wait for people may still come up by itself: a retry, a slot of a pool."""
        return bool(active._waiting_to_retry or active._executable or active._pending_retry or set(active._in_flight) - set(self._waiting))

    def _wait(self, active: ActiveExecution) -> Iterator[DagsterEvent]:
        """Nothing but waiting steps is left: suspend the run, or fail it when its execution has failed meanwhile."""
        open_sessions = sessions.sessions_of(self._run_id)
        results = open_sessions.settle() if open_sessions is not None else []
        over = next((r for r in results if r.status.ended), None)
        if over is not None or self._failed:
            what = f"the execution is {over.status}: {over.reason}" if over is not None else "another step failed"
            for step_context, left in self._waiting.values():
                error = SerializableErrorInfo(f"{left.reason}; it does not go on, as {what}\n", [], None)
                event = DagsterEvent.step_failure_event(step_context, StepFailureData(error=error, user_failure_data=None))  # type: ignore[no-untyped-call]
                yield event
                active.handle_event(event)
            yield from active.plan_events_iterator(self._context)
            if over is None:
                yield from self._always(active)
            if over is not None and over.status == "cancelled":
                self._cancel()
            return
        reasons = "; ".join(left.reason for _, left in self._waiting.values())
        try:
            point("run.before_suspended")
            # from here on this process does nothing for the run, however long it takes to end: a new worker need not wait for that
            self._instance.add_run_tags(self._run_id, {names.WORKER: ""})
            point("run.signed_off")
            event = DagsterEvent.job_suspended(self._plan_context, reasons)
        except DBAPIError as error:
            # the run has not failed by that: whoever finds it without a worker starts another one, which waits again
            complain(f"Run {self._run_id} could not be written down as suspended: {trouble(self._instance, error)}")
            active.mark_interrupted()
            return
        yield event
        point("run.after_suspended")
        # Dagster would say "Execution was interrupted unexpectedly" now, to whoever wonders why the run stands still
        self._plan_context.log.addFilter(lambda record: not record.getMessage().startswith(_INTERRUPTED))
        active.mark_interrupted()

    def _cancel(self) -> None:
        """A person cancelled the execution (not the run): the run ends as cancelled, too."""
        run = self._instance.get_run_by_id(self._run_id)
        if run is not None and run.status == dg.DagsterRunStatus.STARTED:
            self._instance.report_run_canceling(run)


__all__ = [
    "HoldfastExecutor",
    "let_suspended_be_cancelled",
    "mark_resumed",
    "past_retries",
    "replace_code",
    "start_worker_again",
    "why_not_native",
]

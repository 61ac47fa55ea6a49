"""The last entry that an engine writes: how it leaves the execution."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.engine.plan import Plan, StepState
from holdfast.engine.record import Record
from holdfast.engine.steps import StepEnd
from holdfast.engine.watcher import Failure, Result
from holdfast.executions.history import history, to_undo
from holdfast.executions.requests import Asked
from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Status
from holdfast.model.manifest import Manifest
from holdfast.prompts.answering import end_with

_KINDS = {
    Status.SUCCEEDED: Kind.EXECUTION_SUCCEEDED,
    Status.FAILED: Kind.EXECUTION_FAILED,
    Status.CANCELLED: Kind.EXECUTION_CANCELLED,
    Status.SUSPENDED: Kind.EXECUTION_SUSPENDED,
    Status.PAUSED: Kind.EXECUTION_PAUSED,
}


class Ending:
    """Gathers why the engine stops and says how.

    Args:
        execution: its id.
        output: where the output notebook is.
    """

    def __init__(self, execution: str, output: str | None) -> None:
        self.execution, self.output = execution, output
        self.failure: Failure | None = None  # the first that was not tolerated
        self.error: BaseException | None = None  # nbclient's own, for papermill
        self.asked: Asked | None = None  # what a person asked for
        self.aborted: str | None = None  # a person's verdict ended it
        self.waiting: dict[str, StepEnd] = {}  # steps that suspended
        self.retry_at: float | None = None  # the earliest retry that is too far away to wait for

    def cuts_short(self, plan: Plan) -> bool:
        """Whether it is us who end the running cell."""
        return (
            self.asked is not None and not plan.closing and (self.asked.at_once or (self.asked.what == "cancel" and not self.asked.finish))
        )

    def result(self, plan: Plan, manifest: Manifest) -> Result:
        """How the execution stands now that nothing more will run."""
        if (self.asked and self.asked.what == "cancel") or self.aborted is not None:
            return self._result(Status.CANCELLED, self.aborted or _by(self.asked, "cancelled"))
        if plan.failures:
            return self._failed(plan, manifest)
        if self.asked is not None and not plan.finished:
            if not self.asked.stays:
                return self._result(Status.SUSPENDED, self.asked.why, due_at=clock.now())
            return self._result(Status.PAUSED, _by(self.asked, "paused"))
        if self.waiting or self.retry_at is not None:
            return self._suspended()
        tolerated = sorted(plan.tolerated)
        return self._result(Status.SUCCEEDED, f"continued after the failure of {', '.join(tolerated)}" if tolerated else "")

    def _result(self, status: Status, reason: str, **more: Any) -> Result:
        return Result(execution=self.execution, status=status, reason=reason, output=self.output, **more)

    def _failed(self, plan: Plan, manifest: Manifest) -> Result:
        failure = self.failure or Failure(step=plan.failures[0], type="Error", what="")
        touched = {n for n, s in plan.states.items() if s in ("succeeded", "failed")}
        offered = tuple(s.name for s in manifest.steps if s.teardown_of in touched)
        failure = Failure(
            step=failure.step, type=failure.type, what=failure.what, code=failure.code, terminal=failure.terminal, teardown=offered
        )
        reason = f"step {failure.step}: {failure.headline}"
        return self._result(Status.FAILED, reason, failure=failure, error=self.error)

    def let_go_on(self, plan: Plan, store: Store, *, leave_pools: bool = False) -> None:
        """Put the steps back that suspended and need not wait any longer, while others run: a matter of theirs has ended, or its time has
        come.

        Args:
            leave_pools: not those that need a place in a pool, which an outside scheduler gives.

        Raises:
            StoreError.
        """
        if not self.waiting or plan.stopping or plan.closing:
            return
        now, pending = store.now(), {p.key for p in store.pending(execution=self.execution)}
        pooled = {s.name for s in plan.steps if s.policy.pool} if leave_pools else set[str]()
        for step, end in list(self.waiting.items()):
            if step in pooled:
                continue
            due_at = end.reply.get("due_at")
            if (due_at is not None and float(due_at) <= now) or not set(end.reply.get("matters") or ()) <= pending:
                del self.waiting[step]
                plan.end(step, StepState.PENDING)

    def _suspended(self) -> Result:
        waiting = self.waiting.values()
        prompts = tuple(str(end.reply["prompt"]) for end in waiting if end.reply.get("prompt"))
        matters = tuple(dict.fromkeys(str(key) for end in waiting for key in end.reply.get("matters") or ()))
        dues = [float(end.reply["due_at"]) for end in waiting if end.reply.get("due_at") is not None]
        if self.retry_at is not None:
            dues.append(self.retry_at)
        reasons = list(dict.fromkeys(end.reason for end in waiting if end.reason))
        if self.retry_at is not None:
            reasons.append(f"the next attempt starts at {clock.iso(self.retry_at)}")
        return self._result(Status.SUSPENDED, "; ".join(reasons), prompts=prompts, matters=matters, due_at=min(dues, default=None))


def write(writer: Writer, result: Result) -> Result:
    """Commit the end, and with it that of prompts that nobody needs answered any more; returns it with the due time as written. A
    suspended execution is due with the first of its pending matters, and at once when one of those it waits for has ended meanwhile.

    Raises:
        Fenced, StoreError.
    """
    body: dict[str, Any] = {"reason": result.reason, "output": result.output}
    if result.failure is not None:
        failure = result.failure
        if failure.teardown:
            header = writer.store.header(writer.execution)
            assert header is not None
            failure = msgspec.structs.replace(failure, undoes=to_undo(history(writer.store, header), failure.teardown))
            result = msgspec.structs.replace(result, failure=failure)
        body["failure"] = {name: getattr(failure, name) for name in failure.__struct_fields__}
    if result.status == Status.SUSPENDED:
        dues = [p.due_at for p in writer.store.pending(execution=writer.execution) if p.due_at is not None]
        dues += [] if result.due_at is None else [result.due_at]
        result = msgspec.structs.replace(result, due_at=min(dues, default=None))
        body |= {"prompts": list(result.prompts), "matters": list(result.matters), "due_at": result.due_at}
    change = Change(status=result.status, reason=result.reason, due_at=result.due_at or 0, awaits=result.matters)
    end = Draft(kind=_KINDS[result.status], body=body, actor=writer.actor)
    if result.status in (Status.CANCELLED, Status.SUCCEEDED):
        end_with(
            writer.store,
            writer.execution,
            lambda drafts, closes: writer.append_all((end, *drafts), change=change, closes=closes),
            who=writer.actor,
            why=f"the execution is {result.status}",
        )
    else:
        writer.append_all((end,), change=change)
    return result


def standing(record: Record, plan: Plan, manifest: Manifest, parameters_digest: str, sent: Any) -> None:
    """Bring ``plan`` to where the journal says the execution stands."""
    for step in plan.steps:
        known = record.step(step.name)
        if not sent(step.name) or known.skipped is not None:
            plan.states[step.name] = StepState.SUCCEEDED if not step.skip and known.skipped is None else StepState.SKIPPED
        elif not record.complete(step, parameters_digest) and _exhausted(step.policy.on_failure, known.failures, step.policy.retry.count):
            plan.failed(step.name)


def _exhausted(on_failure: str, failures: int, retries: int) -> bool:
    """Whether a step whose failure its author tolerates has failed for good."""
    return on_failure not in ("suspend", "stop") and failures > retries


def _by(asked: Asked | None, verb: str) -> str:
    if asked is None:
        return verb
    return f"{verb} by {asked.who or 'somebody'}" + (f": {asked.why}" if asked.why else "")

"""One step of an execution, worked on while other processes work on others; and the execution's end, written by the last of them.

The lease of the step alone is held. Whoever is through tries to take the whole: it gets it when nobody works on any step, and then says
how the execution stands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec

from holdfast.config import Config
from holdfast.engine.ending import standing, write
from holdfast.engine.execute import (
    Reins,
    announce_start,
    at_work,
    give_up,
    hand_on,
    only_batch,
    require,
)
from holdfast.engine.gate import Gate
from holdfast.engine.heartbeat import Heartbeat
from holdfast.engine.kernels import end_orphans
from holdfast.engine.plan import StepState
from holdfast.engine.stage import Options, Stage
from holdfast.engine.steps import StepEnd
from holdfast.engine.turns import make_way
from holdfast.engine.watcher import Failure, Result, Watcher
from holdfast.engine.worker import Worker
from holdfast.errors import GuardrailError, HoldfastError, OperatorError, StoreError
from holdfast.executions.find import require_step
from holdfast.executions.requests import REQUEST_KINDS, Asked, open_requests
from holdfast.journal.ownership import take, this_process
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.entry import Entry, Kind
from holdfast.model.execution import BETWEEN, Execution, Status
from holdfast.model.lease import Lease

#: ``what`` of the note that a step leaves when it waits.
WAITS = "step_waits"


def work_beside(
    store: Store,
    config: Config,
    id: str,
    step: str,
    *,
    watchers: Sequence[Watcher] = (),
    by_person: bool = False,
    label: str = "engine",
    reins: Reins | None = None,
    gate: Gate,
) -> Result:
    """Run ``step`` of an execution and, when nobody else works on any other, write how the execution stands.

    Args:
        by_person: somebody said "go on" (see :func:`holdfast.engine.execute.execute`); said once for all steps of a run.
        gate: lets the step begin.

    Returns:
        how the execution stands; ``running`` while others go on.

    Raises:
        LookupFailedError: HF601, HF603.
        OperatorError: HF250, another worker has the step, or the whole execution; HF253, it is a person's.
        Fenced, StoreError: as :func:`holdfast.engine.execute.execute`.
    """
    only_batch(require(store, id))
    owner = this_process(label)
    lease = take(store, id, owner, config.lease_ttl, step=step)
    try:
        header = require(store, id)
        if not _over(header, by_person):
            _one_step(store, config, header, lease, step, tuple(watchers), by_person, reins, gate)
    finally:
        with contextlib.suppress(StoreError):
            store.release(lease)
    return conclude(store, config, id, watchers=watchers, label=label)


def _over(header: Execution, by_person: bool) -> bool:
    """Whether nothing may begin: it has ended, or a person must act first."""
    if header.status in (Status.FAILED, Status.PAUSED):
        return not by_person
    return header.status in (Status.CANCELLED, Status.SUCCEEDED)


def _one_step(
    store: Store,
    config: Config,
    header: Execution,
    lease: Lease,
    step: str,
    watchers: tuple[Watcher, ...],
    by_person: bool,
    reins: Reins | None,
    gate: Gate,
) -> None:
    writer = Writer(store, header.id, lease.fence, config.user)
    requests = store.read(header.id, kinds=REQUEST_KINDS)
    if any(a.what == "cancel" or not by_person for a in open_requests(requests)):
        return  # asked for while nobody was there to hear it: the end says so
    announce_start(writer, config, header, lease, by_person)
    try:
        stage = Stage(store, config, header, lease.fence, Options(beside=step), watchers)
        offered = tuple(s for s in stage.manifest.steps if s.teardown_of is None)
        require_step(msgspec.structs.replace(stage.manifest, steps=offered), step, header.id)
        aside = make_way(writer, header, stage.manifest)
        if aside is not None:
            _stand_aside(writer, step, aside)
            return
        worker = Worker(stage, gate)
        _look(stage, worker)
        if worker.plan.failures:  # of this step or in another branch: nothing new begins
            return
        end_orphans(_kernels_of(store, header.id, step))
    except HoldfastError as error:
        give_up(writer, error)
        raise
    with at_work(stage, worker, lease, requests, reins):
        worker.run()
        _leave_word(writer, step, worker)
        stage.output.write()


def _stand_aside(writer: Writer, step: str, aside: Result) -> None:
    """Another execution has the target: leave word for the last process to leave."""
    if aside.status == Status.FAILED:
        raise GuardrailError("HF807", aside.reason.removeprefix("HF807: "), cure="Wait for it and resume.", execution=writer.execution)
    if aside.status == Status.CANCELLED:
        writer.append(Kind.REQUESTED, {"what": "cancel", "who": writer.actor, "why": aside.reason})
    else:
        matters, due_at = list(aside.matters), aside.due_at
        writer.append(Kind.NOTE, {"what": WAITS, "reason": aside.reason, "matters": matters, "due_at": due_at}, step=step)


def _look(stage: Stage, worker: Worker) -> None:
    """Bring the plan to where the journal says that the execution stands: also failures that were not tolerated."""
    plan, record = worker.plan, stage.record
    standing(record, plan, stage.manifest, stage.parameters_digest, stage.layout.of)
    for step in plan.steps:
        known = record.step(step.name)
        if record.complete(step, stage.parameters_digest):
            plan.states[step.name] = StepState.SUCCEEDED
        elif plan.states[step.name] == StepState.PENDING and (known.since_person > step.policy.retry.count or known.terminal):
            plan.failed(step.name)


def _leave_word(writer: Writer, step: str, worker: Worker) -> None:
    """Write down what the last process to leave must know and no other entry says: what is waited for, what a person asked for."""
    ending = worker.ending
    for end in ending.waiting.values():
        body = {"what": WAITS, "reason": end.reason, **{k: end.reply.get(k) for k in ("prompt", "matters", "due_at")}}
        writer.append(Kind.NOTE, body, step=step)
    asked = ending.asked
    if asked is None and ending.aborted is not None:
        asked = Asked(what="cancel", who=writer.actor, why=ending.aborted)
    if asked is None:
        return
    if not asked.stays:
        writer.append(Kind.NOTE, {"what": WAITS, "reason": asked.why, "due_at": writer.store.now()}, step=step)
    elif not asked.written:
        writer.append(Kind.REQUESTED, {"what": asked.what, "who": asked.who, "why": asked.why})


def _kernels_of(store: Store, id: str, step: str) -> list[tuple[int, str, str, str]]:
    """Kernels that earlier workers of the step have started."""
    notes = [e.data for e in store.read(id, step=step, kinds=(Kind.NOTE,))]
    return [(n["pid"], n["started"], n["host"], n["boot"]) for n in notes if n.get("what") == "kernel_started"]


def conclude(store: Store, config: Config, id: str, *, watchers: Sequence[Watcher] = (), label: str = "engine") -> Result:
    """Write how the execution stands, when nobody works on any of its steps; else leave that to them.

    When it has failed or was cancelled, its steps tagged ``always`` are run first.

    Raises:
        LookupFailedError: HF601.
        Fenced, StoreError: as :func:`holdfast.engine.execute.execute`.
    """
    try:
        lease = take(store, id, this_process(label), config.lease_ttl)
    except OperatorError as error:
        if error.code != "HF250":
            raise
        return _as_it_is(require(store, id))
    try:
        header = require(store, id)
        if header.status != Status.RUNNING:
            return _as_it_is(header)
        return _last_word(store, config, header, lease, tuple(watchers))
    finally:
        with contextlib.suppress(StoreError):
            store.release(lease)


def _as_it_is(header: Execution) -> Result:
    return Result(execution=header.id, status=header.status, reason=header.reason, due_at=header.due_at)


def _last_word(store: Store, config: Config, header: Execution, lease: Lease, watchers: tuple[Watcher, ...]) -> Result:
    writer = Writer(store, header.id, lease.fence, config.user)
    gate = Gate()
    gate.close()
    stage = Stage(store, config, header, lease.fence, Options(beside=""), watchers)
    worker = Worker(stage, gate)
    plan, ending = worker.plan, worker.ending
    _look(stage, worker)
    requests = store.read(header.id, kinds=REQUEST_KINDS)
    asked = open_requests(requests)
    ending.asked = next((a for a in asked if a.what == "cancel"), next(iter(asked), None))
    if plan.failures:
        ending.failure = _failure_of(store, header.id, plan.failures[0])
    over = bool(plan.failures) or (ending.asked is not None and ending.asked.what == "cancel")
    stage.begin()
    if over and any(s.always and plan.states[s.name] == StepState.PENDING for s in plan.steps):
        end_orphans(list(stage.record.kernels.values()))
        beat = Heartbeat(store, lease, config.lease_ttl, asked=worker.ask, lost=worker.lose, after=requests[-1].seq if requests else 0)
        beat.start()
        try:
            result = worker.run()
        finally:
            beat.stop()
    else:
        if not plan.finished:
            _what_waits(store, stage, worker)
        result = ending.result(plan, stage.manifest)
        if result.status == Status.SUCCEEDED and not plan.finished:
            result = msgspec.structs.replace(result, status=Status.SUSPENDED, reason=BETWEEN)
    if result.status.ended:
        stage.finish(result)
    result = write(writer, result)
    hand_on(writer, config, result)
    stage.announce.ended(result)
    return result


def _what_waits(store: Store, stage: Stage, worker: Worker) -> None:
    """Tell the ending of the steps that wait, as their workers have left word."""
    notes: dict[str, Entry] = {}
    for entry in store.read(stage.execution.id, kinds=(Kind.NOTE,)):
        if entry.data.get("what") == WAITS and entry.step:
            notes[entry.step] = entry
    for step in worker.plan.steps:
        if worker.plan.states[step.name] != StepState.PENDING:
            continue
        later = stage.record.step(step.name).not_before
        if later is not None:
            worker.ending.retry_at = min(later, worker.ending.retry_at or later)
        elif step.name in notes:
            told = notes[step.name].data
            worker.ending.waiting[step.name] = StepEnd(state="suspended", reply=told, reason=str(told.get("reason") or ""))


def _failure_of(store: Store, id: str, step: str) -> Failure:
    failed = store.read(id, step=step, kinds=(Kind.STEP_FAILED,))
    error = (failed[-1].data.get("error") or {}) if failed else {}
    return Failure(step=step, type=str(error.get("type") or "Error"), what=str(error.get("what") or ""), code=error.get("code"))

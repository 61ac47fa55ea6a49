"""Work on an execution: own it, see it to an end, write the end down, let go. Also: find those whose worker is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.engine.changes import accept_changes
from holdfast.engine.ending import write
from holdfast.engine.family import Family
from holdfast.engine.gate import Gate
from holdfast.engine.heartbeat import Heartbeat
from holdfast.engine.kernels import end_orphans
from holdfast.engine.stage import Options, Stage
from holdfast.engine.turns import make_way
from holdfast.engine.watcher import Result, Watcher
from holdfast.engine.worker import Worker
from holdfast.errors import HoldfastError, LookupFailedError, OperatorError, StoreError
from holdfast.executions import stopping
from holdfast.executions.family import tell_parent
from holdfast.executions.handover import PENDING as HANDOVER
from holdfast.executions.requests import REQUEST_KINDS, Asked, open_requests
from holdfast.executions.running import end_commands
from holdfast.executions.undoing import open_rollback
from holdfast.executions.waking import orphans
from holdfast.guardrails import locks
from holdfast.journal.ownership import take, this_process
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.entry import Entry, Kind
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.model.lease import Lease
from holdfast.prompts.answering import end_with

#: Hands the caller a function by which it can ask the engine for something (Ctrl-C, SIGTERM).
Reins = Callable[[Callable[[Asked], None]], None]


def execute(
    store: Store,
    config: Config,
    id: str,
    *,
    options: Options | None = None,
    watchers: Sequence[Watcher] = (),
    by_person: bool = True,
    changes: bool = False,
    label: str = "engine",
    reins: Reins | None = None,
    gate: Gate | None = None,
) -> Result:
    """Continue an execution, from wherever it is, as far as it gets.

    Args:
        id: the whole id.
        options: output, client, time limits.
        watchers: who hears of progress.
        by_person: somebody said "go on": a failed or paused execution continues, with a new retry budget. False (a queue, a recovery):
            those are left as they are.
        changes: take the notebook file's text as it is now.
        label: what this worker is, for people.
        reins: is given a function that asks this worker to pause or cancel.
        gate: holds steps back until an outside scheduler lets them begin.

    Raises:
        LookupFailedError: HF601.
        OperatorError: HF250, another worker has it; HF251 to HF253, the installation or the execution's state stands in the way.
        AuthorError: with ``changes``: the new text cannot be executed.
        Fenced: another worker took it over meanwhile.
        StoreError: the journal cannot be reached; the execution stays as the journal has it.
    """
    options = options or Options()
    if by_person:
        # nobody may have been there to say that a child has ended
        stopping.settle(store, config, end_with=end_with, who=config.user, execution=id)
    header = require(store, id)
    if (already := _standing_still(store, header, by_person, changes)) is not None:
        return already
    lease = take(store, id, this_process(label), config.lease_ttl)
    try:
        header = require(store, id)  # as it is now that nobody else can change it
        already = _standing_still(store, header, by_person, changes)
        if already is not None:
            return already
        return _work(store, config, header, lease, options, tuple(watchers), by_person, changes, reins, gate)
    finally:
        with contextlib.suppress(StoreError):
            store.release(lease)


def _work(
    store: Store,
    config: Config,
    header: Execution,
    lease: Lease,
    options: Options,
    watchers: tuple[Watcher, ...],
    by_person: bool,
    changes: bool,
    reins: Reins | None,
    gate: Gate | None,
) -> Result:
    writer = Writer(store, header.id, lease.fence, config.user)
    requests = store.read(header.id, kinds=REQUEST_KINDS)
    asked = open_requests(requests)
    cancel = next((a for a in asked if a.what == "cancel"), None)
    pause = next((a for a in asked if a.what == "pause"), None) if not by_person else None
    if cancel or pause:  # asked for while nobody was there to hear it
        return _only_obey(writer, config, header, cancel or pause)
    if changes:
        header = accept_changes(writer, config, header)
    announce_start(writer, config, header, lease, by_person)
    try:
        stage = Stage(store, config, header, lease.fence, options, watchers)
    except HoldfastError as error:
        give_up(writer, error)
        raise
    aside = make_way(writer, header, stage.manifest)
    if aside is not None:
        return _stand_aside(writer, config, stage, aside)
    end_orphans(list(stage.record.kernels.values()))
    undo = open_rollback(store, header.id)
    worker = Worker(stage, gate, undo.steps)
    with at_work(stage, worker, lease, requests, reins):
        result = worker.run()
        if undo.steps and result.status == Status.SUCCEEDED:  # it stays what it was: failed
            reason = f"{undo.failed}; undone by {', '.join(undo.steps)}"
            result = msgspec.structs.replace(result, status=Status.FAILED, reason=reason, undone=undo.steps)
        stage.finish(result)
        result = write(writer, result)
        hand_on(writer, config, result)
    stage.announce.ended(result)
    return result


@contextlib.contextmanager
def at_work(stage: Stage, worker: Worker, lease: Lease, requests: Sequence[Entry], reins: Reins | None) -> Iterator[None]:
    """Within: the lease is kept, what people ask is heard, children are worked on, and an error is written down as the execution's. At
    the end those children are waited for."""
    store, config, after = stage.store, stage.config, requests[-1].seq if requests else 0
    beat = Heartbeat(store, lease, config.lease_ttl, asked=worker.ask, lost=worker.lose, after=after)
    worker.listen = beat.look
    beat.start()
    family = Family(store, config, stage.execution.id, execute)

    def pass_on(asked: Asked) -> None:
        worker.ask(asked)
        family.ask(asked)

    try:
        if reins is not None:
            reins(pass_on)
        stage.begin()
        family.start()
        yield
    except HoldfastError as error:
        give_up(stage.writer, error)
        raise
    finally:
        beat.stop()
        family.finish()


def _stand_aside(writer: Writer, config: Config, stage: Stage, result: Result) -> Result:
    """Another execution has the target: wait, or end, without a step."""
    result = write(writer, result)
    hand_on(writer, config, result)
    stage.announce.ended(result)
    return result


def announce_start(writer: Writer, config: Config, header: Execution, lease: Lease, by_person: bool) -> None:
    """Say who works on it from now on. Steps tagged `always` of an execution that had ended are due again, and so are the children that
    were paused with it."""
    if by_person and header.status in (Status.FAILED, Status.PAUSED, Status.SUSPENDED):
        writer.append(Kind.EXECUTION_RESUMED, {"from": str(header.status), "by": writer.actor})
    for draft in stopping.always_again(writer.store, header):
        writer.append(Kind.STEP_RESET, draft.body, step=draft.step)
    body: dict[str, Any] = {"owner": lease.owner, "fence": lease.fence} | ({"step": lease.step} if lease.step else {})
    writer.append(Kind.EXECUTION_STARTED, body, change=Change(status=Status.RUNNING, reason="", due_at=0))
    stopping.release(writer.store, config, header.id, who=writer.actor)


def _only_obey(writer: Writer, config: Config, header: Execution, asked: Asked | None) -> Result:
    from holdfast.engine.ending import Ending
    from holdfast.engine.plan import Plan, StepState
    from holdfast.model.manifest import Manifest

    ending = Ending(header.id, None)
    ending.asked = asked
    nothing = Manifest(name=header.runbook, digest="")
    plan = Plan(nothing)
    plan.states["the rest"] = StepState.PENDING  # none of it was looked at
    result = ending.result(plan, nothing)
    write(writer, result)
    hand_on(writer, config, result)
    return result


def hand_on(writer: Writer, config: Config, result: Result) -> None:
    """What an end means for others: no command that outlived its kernel stays behind, children stop too, the parent hears of it."""
    store = writer.store
    if result.status == Status.CANCELLED:
        end_commands(config.state_dir, result.execution)
    if result.status in (Status.CANCELLED, Status.PAUSED):
        what = "cancel" if result.status == Status.CANCELLED else "pause"
        stopping.cascade(store, config, result.execution, what, end_with=end_with, who=writer.actor)
    if result.status.ended:
        tell_parent(store, result.execution)
        locks.pass_on(store, result.execution)


def give_up(writer: Writer, error: HoldfastError) -> None:
    """The installation stands in the way: say so in the header; a person mends it and resumes."""
    if isinstance(error, StoreError):
        return
    with contextlib.suppress(Exception):
        change = Change(status=Status.FAILED, reason=str(error), due_at=0)
        writer.append(Kind.EXECUTION_FAILED, {"reason": str(error), "error": error.to_dict()}, change=change)
        tell_parent(writer.store, writer.execution)
        locks.pass_on(writer.store, writer.execution)


def only_batch(header: Execution) -> None:
    """Refuse an execution that belongs to a person's kernel.

    Raises:
        OperatorError: HF253.
    """
    if header.mode != Mode.BATCH:
        raise OperatorError(
            "HF253",
            f"this execution belongs to a person at a {'shell' if header.mode == Mode.SHELL else 'notebook'}, not to the engine",
            cure=f"holdfast shell --resume {header.id}"
            if header.mode == Mode.SHELL
            else "Open its notebook in JupyterLab and run all cells.",
            execution=header.id,
        )


def _standing_still(store: Store, header: Execution, by_person: bool, changes: bool) -> Result | None:
    """How it stands, when there is nothing to do: it ended, or a person must act first."""
    only_batch(header)
    stays = header.status == Status.CANCELLED or (header.status == Status.SUCCEEDED and not changes)
    if not by_person:
        stays = stays or header.status in (Status.FAILED, Status.PAUSED)
    if stays:
        return _as_is(store, header)
    if header.status == Status.SUSPENDED and not changes:
        pending = [p for p in store.pending(execution=header.id) if p.kind != HANDOVER]  # for that only people wait
        due = header.due_at is not None and header.due_at <= store.now()
        if not due and (pending or (header.due_at is not None and not by_person)):
            result, prompts = _as_is(store, header), tuple(p.key for p in pending if p.kind == "prompt")
            return msgspec.structs.replace(result, prompts=prompts, matters=tuple(p.key for p in pending))
    return None


def _as_is(store: Store, header: Execution) -> Result:
    ends = store.read(header.id, kinds=(Kind.EXECUTION_SUCCEEDED, Kind.EXECUTION_FAILED, Kind.EXECUTION_SUSPENDED, Kind.EXECUTION_PAUSED))
    output = ends[-1].data.get("output") if ends else None
    return Result(execution=header.id, status=header.status, reason=header.reason, output=output, due_at=header.due_at)


def require(store: Store, id: str) -> Execution:
    """The header of ``id``.

    Raises:
        LookupFailedError: HF601.
    """
    header = store.header(id)
    if header is None:
        raise LookupFailedError("HF601", f"there is no execution {id!r}", cure="`holdfast list` shows them.")
    return header


def recover(store: Store, config: Config, *, watchers: Sequence[Watcher] = (), label: str = "engine") -> list[Result]:
    """Continue every execution whose worker is gone, one after the other; those that somebody else takes first are left to them."""
    results = []
    for header in orphans(store):
        try:
            results.append(execute(store, config, header.id, watchers=watchers, by_person=False, label=label))
        except OperatorError as error:
            if error.code != "HF250":
                raise
    return results

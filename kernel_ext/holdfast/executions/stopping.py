"""Pausing and cancelling from outside, and letting go on what was paused: with the children that follow (see ``family``)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.executions.family import child_of, followers, tell, tell_parent
from holdfast.executions.requests import REQUEST_KINDS, open_requests
from holdfast.executions.running import end_commands
from holdfast.executions.start import pinned_notebook
from holdfast.foundation.faults import point
from holdfast.journal import ownership
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.model.lease import Lease
from holdfast.notebook.compile import compile as compile_notebook

#: ``prompts.answering.end_with``: ends the open questions in the commit that ends their execution.
EndWith = Callable[..., None]

_ENDS = {"pause": (Status.PAUSED, Kind.EXECUTION_PAUSED), "cancel": (Status.CANCELLED, Kind.EXECUTION_CANCELLED)}


def stop(
    store: Store,
    config: Config,
    header: Execution,
    what: str,
    *,
    end_with: EndWith,
    who: str,
    why: str = "",
    finish: bool = False,
    parent: str | None = None,
) -> None:
    """Ask an execution to pause or to end. Where nobody works on it, it is done at once, with its children; else its worker does it.

    Args:
        what: ``pause`` or ``cancel``.
        end_with: see :data:`EndWith`.
        finish: cancel only: steps that run may come to their end first.
        parent: the execution with which it stops.

    Raises:
        OperatorError: HF253, it has ended. StoreError.
    """
    if header.status in (Status.SUCCEEDED, Status.CANCELLED) or (what == "pause" and header.status == Status.FAILED):
        raise OperatorError(
            "HF253", f"the execution has {header.status} already", cure="There is nothing left to stop.", execution=header.id
        )
    if what == "pause" and header.status == Status.PAUSED:
        return
    request = Draft(kind=Kind.REQUESTED, body={"what": what, "who": who, "why": why, "finish": finish, "with": parent}, actor=who)
    lease = None if _worked_on(store, header) else _taken(store, config, header)
    if lease is None and header.mode != Mode.SHELL:
        store.append(header.id, (request,), fence=None)
        return
    try:
        _write(store, header, request, what, why, lease.fence if lease else None, end_with)
    finally:
        if lease is not None:
            store.release(lease)
    if what == "cancel":
        end_commands(config.state_dir, header.id)  # they outlive their kernel
        tell_parent(store, header.id)
    cascade(store, config, header.id, what, end_with=end_with, who=who)


def cascade(store: Store, config: Config, parent: str, what: str, *, end_with: EndWith, who: str) -> None:
    """Pause or cancel the children that follow an execution.

    Raises:
        StoreError.
    """
    point("child.before_cascade")
    for child in followers(store, parent):
        _stop_with(store, config, child, parent, what, end_with=end_with, who=who)


def _stop_with(store: Store, config: Config, child: Execution, parent: str, what: str, *, end_with: EndWith, who: str) -> None:
    if what == "pause" and child.status == Status.PAUSED:
        return
    why = f"{parent}, which started it, was {'paused' if what == 'pause' else 'cancelled'}"
    with contextlib.suppress(OperatorError):  # it has come to its end meanwhile
        stop(store, config, child, what, end_with=end_with, who=who, why=why, parent=parent)


def let_go_on(store: Store, config: Config, header: Execution, *, who: str, why: str = "", parent: str | None = None) -> bool:
    """Make a paused or failed execution due, for a worker to continue it; with the children that were paused with it.

    Args:
        parent: only when it was paused with that execution.

    Returns:
        False: it goes on already, or has ended, or is held by somebody.

    Raises:
        StoreError.
    """
    lease = _taken(store, config, header) if header.status in (Status.PAUSED, Status.FAILED) else None
    if lease is None:
        return False
    try:
        now = store.header(header.id)
        if now is None or now.status not in (Status.PAUSED, Status.FAILED) or (parent and _stopped_with(store, now.id) != parent):
            return False
        body = {"from": str(now.status), "who": who, "why": why, "with": parent}
        draft = Draft(kind=Kind.EXECUTION_RESUMED, body=body, actor=who)
        change = Change(status=Status.SUSPENDED, reason=f"resumed by {who}", due_at=store.now())
        store.append(now.id, (draft, *always_again(store, now)), fence=lease.fence, change=change)
    finally:
        store.release(lease)
    release(store, config, header.id, who=who)
    return True


def always_again(store: Store, header: Execution) -> list[Draft]:
    """What makes the steps tagged ``always`` of a failed execution due again, which goes on after its end.

    Raises:
        OperatorError, LookupFailedError: its notebook is not there. StoreError.
    """
    if header.status != Status.FAILED:
        return []
    done = {e.step for e in store.read(header.id, kinds=(Kind.CELL_COMPLETED,))}
    again = [s.name for s in compile_notebook(pinned_notebook(store, header)).steps if s.always and s.name in done] if done else []
    return [Draft(kind=Kind.STEP_RESET, step=name, body={"why": "always: the execution goes on after its end"}) for name in again]


def release(store: Store, config: Config, parent: str, *, who: str) -> None:
    """Let the children go on that were paused with an execution, which goes on.

    Raises:
        StoreError.
    """
    point("child.before_release")
    for child in followers(store, parent):
        if child.status == Status.PAUSED:
            let_go_on(store, config, child, who=who, parent=parent)


def settle(store: Store, config: Config, *, end_with: EndWith, who: str, execution: str | None = None) -> None:
    """Bring about what a crash has kept from parents and children: the news of an end, and what each parent's state means for its child.

    Args:
        execution: only where that one is the parent.

    Raises:
        StoreError.
    """
    for matter in store.pending(kind="child", execution=execution):
        if tell(store, matter):
            continue
        parent, child = store.header(matter.execution), store.header(child_of(matter))
        if parent is None or child is None:
            continue
        if parent.status == Status.CANCELLED:
            if any(a.what == "cancel" for a in open_requests(store.read(child.id, kinds=REQUEST_KINDS))):
                continue  # its worker is at it; to be asked twice means to be quick
            _stop_with(store, config, child, parent.id, "cancel", end_with=end_with, who=who)
        elif parent.status == Status.PAUSED:
            if child.status != Status.PAUSED and _stopped_with(store, child.id, since=_paused_at(store, parent.id)) != parent.id:
                _stop_with(store, config, child, parent.id, "pause", end_with=end_with, who=who)
        elif child.status == Status.PAUSED and not parent.status.ended:
            let_go_on(store, config, child, who=who, parent=parent.id)


def _stopped_with(store: Store, child: str, since: float = 0.0) -> str | None:
    """The execution with which it was asked to pause last, if that was later than ``since``."""
    asked = [e for e in store.read(child, kinds=(Kind.REQUESTED,)) if e.data.get("what") == "pause" and e.at >= since]
    return asked[-1].data.get("with") if asked else None


def _paused_at(store: Store, id: str) -> float:
    paused = store.read(id, kinds=(Kind.EXECUTION_PAUSED,))
    return paused[-1].at if paused else 0.0


def _taken(store: Store, config: Config, header: Execution) -> Lease | None:
    """The lease of what nobody works on: a worker that wakes up later finds its fence passed. None when somebody was faster."""
    try:
        return ownership.take(store, header.id, ownership.this_process("client"), config.lease_ttl)
    except OperatorError as error:
        if error.code != "HF250":
            raise
        return None


def _write(store: Store, header: Execution, request: Draft, what: str, why: str, fence: int | None, end_with: EndWith) -> None:
    """Pause or cancel, without a worker."""
    who = request.actor
    status, kind = _ENDS[what]
    reason = f"{status} by {who}" + (f": {why}" if why else "")
    drafts = (request, Draft(kind=kind, body={"reason": reason, "who": who, "why": why}, actor=who))
    change = Change(status=status, reason=reason, due_at=0)

    def append(more: tuple[Draft, ...] = (), closes: tuple[str, ...] = ()) -> int:
        return store.append(header.id, (*drafts, *more), fence=fence, change=change, closes=closes)

    if what == "cancel":
        end_with(store, header.id, append, who=who, why="the execution was cancelled")
    else:
        append()


def _worked_on(store: Store, header: Execution) -> bool:
    """Whether a worker will hear of a request: it has the lease, and is not known to be gone."""
    return header.mode != Mode.SHELL and not ownership.unattended(header, store.now(), store.step_leases(header.id))

"""Pausing and cancelling from outside, with what the execution has started."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.executions.family import children, tell_parent
from holdfast.executions.running import end_commands
from holdfast.journal import ownership
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.model.lease import Lease

#: ``prompts.answering.end_with``: ends the open questions in the commit that ends their execution.
EndWith = Callable[..., None]

_ENDS = {"pause": (Status.PAUSED, Kind.EXECUTION_PAUSED), "cancel": (Status.CANCELLED, Kind.EXECUTION_CANCELLED)}


def stop(
    store: Store, config: Config, header: Execution, what: str, *, end_with: EndWith, who: str, why: str = "", finish: bool = False
) -> None:
    """Ask an execution to pause or to end. Where nobody works on it, it is done at once, with its children; else its worker does it.

    Args:
        what: ``pause`` or ``cancel``.
        end_with: see :data:`EndWith`.
        finish: cancel only: steps that run may come to their end first.

    Raises:
        OperatorError: HF253, it has ended. StoreError.
    """
    if header.status in (Status.SUCCEEDED, Status.CANCELLED) or (what == "pause" and header.status == Status.FAILED):
        raise OperatorError(
            "HF253", f"the execution has {header.status} already", cure="There is nothing left to stop.", execution=header.id
        )
    if what == "pause" and header.status == Status.PAUSED:
        return
    request = Draft(kind=Kind.REQUESTED, body={"what": what, "who": who, "why": why, "finish": finish}, actor=who)
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
    """Pause or cancel what an execution has started and what has not come to its end.

    Raises:
        StoreError.
    """
    for child in children(store, parent):
        if not child.status.ended and not (what == "pause" and child.status == Status.PAUSED):
            verb = "paused" if what == "pause" else "cancelled"
            stop(store, config, child, what, end_with=end_with, who=who, why=f"{parent}, which started it, was {verb}")


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

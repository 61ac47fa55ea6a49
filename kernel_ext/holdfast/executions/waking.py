"""What may be worked on now, and who starts a worker for it: several may notice, one acts."""

from __future__ import annotations

from holdfast.journal.errors import OnceTaken
from holdfast.journal.ownership import gone, unattended
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Mode, Status

#: Seconds after which whoever claimed a wake-up and brought nothing about is taken for dead.
_PATIENCE = 30.0


def due(store: Store, *, queued: bool = False, limit: int | None = None) -> list[Execution]:
    """Suspended executions whose answer, timer, signal or child is there; by index, however many others are suspended.

    Args:
        queued: with those that were queued for a worker.

    Raises:
        StoreError.
    """
    statuses = (Status.SUSPENDED, Status.QUEUED) if queued else (Status.SUSPENDED,)
    return store.headers(statuses=statuses, due_before=store.now(), newest_first=False, limit=limit)


def orphans(store: Store) -> list[Execution]:
    """Running executions whose worker is gone: its lease ran out, or its process on this machine has ended.

    Raises:
        StoreError.
    """
    now = store.now()
    running = store.headers(statuses=(Status.RUNNING,), newest_first=False)
    return [h for h in running if h.mode == Mode.BATCH and unattended(h, now, store.step_leases(h.id) if h.owner else ())]


def claim_wake_up(store: Store, id: str, by: str) -> bool:
    """Whether the caller is the one to start a worker for this suspension of the execution.

    The first to ask is; who asks after that is told no, unless nothing came of it for half a minute or the first is known to be gone. This
    spares needless workers only: two that start nevertheless are told apart by the lease.

    Args:
        by: who asks; an owner's text (``Owner.text``) where the caller is the worker itself.

    Raises:
        StoreError.
    """
    suspensions = store.read(id, kinds=(Kind.EXECUTION_SUSPENDED, Kind.EXECUTION_PAUSED))
    last = suspensions[-1].seq if suspensions else 0
    attempt = 0
    while True:
        draft = Draft(kind=Kind.NOTE, body={"what": "waking", "by": by}, actor=by, once=f"wake:{last}:{attempt}")
        try:
            store.append(id, (draft,), fence=None)
        except OnceTaken as taken:
            if store.now() - taken.entry.at < _PATIENCE and not gone(str(taken.entry.data.get("by") or "")):
                return False
            attempt += 1
        else:
            return True

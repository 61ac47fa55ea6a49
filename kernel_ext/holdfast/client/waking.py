"""Suspended executions that may go on, and who starts a worker for one: several may notice, one acts."""

from __future__ import annotations

from holdfast.client.client import Client
from holdfast.journal.errors import OnceTaken
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Status

#: Seconds after which whoever claimed a wake-up and brought nothing about is taken for dead.
_PATIENCE = 30.0


def due(client: Client, *, limit: int | None = None) -> list[Execution]:
    """Suspended executions whose answer, timer, signal or child is there; by index, however many others are suspended.

    Raises:
        StoreError.
    """
    return client.store.headers(statuses=(Status.SUSPENDED,), due_before=client.store.now(), newest_first=False, limit=limit)


def claim_wake_up(client: Client, id: str, by: str) -> bool:
    """Whether the caller is the one to start a worker for this suspension of the execution.

    The first to ask is; who asks after that is told no, unless nothing came of it for half a minute. This spares needless workers only:
    two that start nevertheless are told apart by the lease.

    Raises:
        StoreError.
    """
    suspensions = client.store.read(id, kinds=(Kind.EXECUTION_SUSPENDED, Kind.EXECUTION_PAUSED))
    last = suspensions[-1].seq if suspensions else 0
    attempt = 0
    while True:
        draft = Draft(kind=Kind.NOTE, body={"what": "waking", "by": by}, actor=by, once=f"wake:{last}:{attempt}")
        try:
            client.store.append(id, (draft,), fence=None)
        except OnceTaken as taken:
            if client.store.now() - taken.entry.at < _PATIENCE:
                return False
            attempt += 1
        else:
            return True

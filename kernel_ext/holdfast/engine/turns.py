"""One execution per target: before its first step an execution takes the lock that its runbook names, or makes way."""

from __future__ import annotations

from holdfast.engine.watcher import Result
from holdfast.foundation import clock
from holdfast.guardrails import locks
from holdfast.guardrails.guard import Told, told_by
from holdfast.journal.writer import Writer
from holdfast.model.execution import Execution, Status
from holdfast.model.manifest import Manifest

#: Seconds after which an execution that waits for its turn looks by itself: whoever should have woken it may have died.
_LOOK_AGAIN = 60.0


def make_way(writer: Writer, header: Execution, manifest: Manifest) -> Result | None:
    """Take the execution's lock. It is announced as running, so that others see that the lock is in use from the moment it is taken.

    Returns:
        None when it has the lock or needs none; else how it must stand for now: suspended, cancelled or failed, as the runbook says.

    Raises:
        Fenced, StoreError.
    """
    told = told_by(manifest.metadata, header, lambda: manifest)
    if told.lock is None or told.concurrency is None:
        return None
    queued = locks.waiting(told.lock, header.id, header.created_at)
    blocking = _blocked(writer, header, told, queues=told.concurrency.overlap == "queue")
    if blocking is not None and told.concurrency.overlap == "queue":
        writer.append_all((), opens=(queued,))
        blocking = _blocked(writer, header, told, queues=True)  # it may have ended before it could see us wait
    if blocking is None:
        writer.append_all((), closes=(queued.key,))
        return None
    by = f"execution {blocking.id} of {blocking.runbook} has {told.lock!r}"
    if told.concurrency.overlap == "queue":
        due_at = clock.now() + _LOOK_AGAIN
        reason = f"{by}; it is this one's turn after it"
        return Result(execution=header.id, status=Status.SUSPENDED, reason=reason, matters=(queued.key,), due_at=due_at)
    if told.concurrency.overlap == "skip":
        return Result(execution=header.id, status=Status.CANCELLED, reason=f"skipped: {by}")
    refusal = locks.refused(told.lock, blocking, header.id)
    return Result(execution=header.id, status=Status.FAILED, reason=f"{refusal.code}: {refusal.what}")


def _blocked(writer: Writer, header: Execution, told: Told, *, queues: bool) -> Execution | None:
    """Who has the lock, or waits longer for it than this execution."""
    assert told.lock is not None
    if queues and locks.holder(writer.store, told.lock) is None and (first := locks.ahead(writer.store, told.lock, header)) is not None:
        return first
    return locks.take(writer.store, told.lock, header, renew=True)

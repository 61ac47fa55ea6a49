"""One execution per target: whoever took the lock last has it, until that execution has ended.

No release is written, so that no kill can lose one: the holder's status is the release. An execution writes ``taken`` only if the stream
still ends where it looked, and only once it is running, so that of two which find the lock free one gets it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.errors import GuardrailError
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.journal.store import Store
from holdfast.journal.streams import StreamMoved
from holdfast.model.entry import Pending
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.guardrail import Guardrail
from holdfast.model.stream import LineDraft

#: The kind of the pending matter of an execution that waits for a lock.
WAITING: Final = "lock"


def lock_stream(key: str) -> str:
    """Where the holders of a lock are written."""
    return f"guardrail:lock:{key}"


def holder(store: Store, key: str) -> Execution | None:
    """The execution that has the lock; None when it is free.

    Raises:
        StoreError.
    """
    taken = store.streams.lines(lock_stream(key), newest_first=True, limit=1)
    header = store.header(taken[0].key or "") if taken else None
    return None if header is None or header.status.ended else header


def take(store: Store, key: str, execution: Execution, *, renew: bool = False) -> Execution | None:
    """Take the lock; returns who has it instead, None when ``execution`` has it now (or one that started it has).

    Args:
        execution: as it is in the journal: running.
        renew: write it down again although it has the lock: it had ended meanwhile, and others may have thought it free.

    Raises:
        StoreError.
    """
    stream = lock_stream(key)
    while True:
        last, _ = store.streams.end(stream)
        other = holder(store, key)
        if other is not None and other.id != execution.id:
            return None if _started_by(store, execution, other.id) else other
        if other is not None and not renew:
            return None
        point("lock.before_take")
        try:
            store.streams.add(stream, [LineDraft(kind="taken", key=execution.id, actor=execution.started_by)], last=last)
        except StreamMoved:
            continue
        point("lock.after_take")
        return None


def ahead(store: Store, key: str, execution: Execution) -> Execution | None:
    """The first of those that wait for the lock, if it was there before ``execution`` and could take it now.

    Raises:
        StoreError.
    """
    for _, other in _queue(store.pending(kind=WAITING, key=_matter(key))):
        if other == execution.id:
            return None
        header = store.header(other)
        if header is not None and header.status in (Status.SUSPENDED, Status.RUNNING, Status.QUEUED):
            return header if header.created_at <= execution.created_at else None
    return None


def waiting(key: str, execution: str, since: float) -> Pending:
    """The open matter of an execution that waits for the lock."""
    body = msgspec.msgpack.encode({"lock": key, "since": since})
    return Pending(execution=execution, kind=WAITING, key=_matter(key), body=body)


def pass_on(store: Store, ended: str) -> None:
    """An execution has ended: wake the one that waits longest for a lock it had. Nothing is lost when nobody calls this: those that wait
    look from time to time.

    Raises:
        StoreError.
    """
    by_lock: dict[str, list[Pending]] = {}
    for matter in store.pending(kind=WAITING):
        by_lock.setdefault(matter.key, []).append(matter)
    for matters in by_lock.values():
        key = msgspec.msgpack.decode(matters[0].body)["lock"]
        taken = store.streams.lines(lock_stream(key), newest_first=True, limit=1)
        if not taken or taken[0].key != ended:
            continue
        for _, execution in _queue(matters):
            header = store.header(execution)
            if header is not None and header.status in (Status.SUSPENDED, Status.RUNNING):
                store.append(execution, (), fence=None, change=Change(due_at=clock.now()), closes=(_matter(key),))
                break


def _matter(key: str) -> str:
    return f"{WAITING}:{key}"


def _queue(matters: list[Pending]) -> list[tuple[float, str]]:
    """Since when, and who; the longest first."""
    return sorted((msgspec.msgpack.decode(m.body)["since"], m.execution) for m in matters)


def refused(key: str, other: Execution, execution: str) -> GuardrailError:
    """The error that says who has the target."""
    return GuardrailError(
        "HF807",
        f"execution {other.id} of {other.runbook} has {key!r}: it is {other.status}, started by {other.started_by or 'nobody known'}",
        cure=f"Wait for it and resume, or end it: holdfast cancel {other.id}",
        guardrail=str(Guardrail.LOCK),
        execution=execution,
        target=key,
    )


def _started_by(store: Store, execution: Execution, other: str) -> bool:
    """Whether ``other`` is among those that started ``execution``: what it waits for may do what it may."""
    parent = execution.parent
    for _ in range(20):
        if parent is None:
            return False
        if parent == other:
            return True
        above = store.header(parent)
        parent = above.parent if above is not None else None
    return False

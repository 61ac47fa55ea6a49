"""Sending a named message to an execution. It is kept until a ``signal`` of that name takes it."""

from __future__ import annotations

from typing import Any

from holdfast.errors import OperatorError
from holdfast.foundation import clock
from holdfast.journal.errors import OnceTaken
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Entry, Kind
from holdfast.model.execution import Change, Execution, Mode, Status


def matter(name: str) -> str:
    """The key of the pending matter "a signal of this name is waited for"."""
    return f"signal:{name}"


def send(store: Store, header: Execution, name: str, value: Any = None, *, key: str | None, who: str, via: str) -> Entry:
    """Send a signal; an execution that waits for it is due.

    Args:
        header: of the execution.
        name: of the signal.
        value: its payload, JSON types.
        key: idempotency key: the same key sends once, however often it is asked for.
        who: sends it.
        via: the way it came, e.g. ``cli``.

    Returns:
        the entry; with a key that was used before, that of the first time.

    Raises:
        OperatorError: HF253, the execution has ended. StoreError.
    """
    once = None if key is None else f"signal:sent:{key}"
    there = None if once is None else store.find_once(header.id, once)
    if there is not None:
        return there
    if header.status in (Status.SUCCEEDED, Status.CANCELLED):
        raise OperatorError(
            "HF253", f"the execution has {header.status} already", cure="Nothing waits for a signal any more.", execution=header.id
        )
    awaited = bool(store.pending(execution=header.id, key=matter(name)))
    # A running one may be about to suspend for this very signal.
    wakes = header.mode == Mode.BATCH and (awaited or header.status == Status.RUNNING)
    body = {"value": value, "who": who, "via": via}
    draft = Draft(kind=Kind.SIGNAL_RECEIVED, key=name, body=body, actor=who, once=once)
    try:
        seq = store.append(header.id, (draft,), fence=None, change=Change(due_at=clock.now()) if wakes else None, closes=(matter(name),))
    except OnceTaken as taken:
        return taken.entry
    return store.read(header.id, after=seq - 1, limit=1)[0]

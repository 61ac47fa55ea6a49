"""How long a step has waited for people, timers, signals and children: time that is nobody's fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.model.entry import Entry, Kind

_BEGINS: Final = (Kind.PROMPT_OPENED, Kind.TIMER_SET, Kind.SIGNAL_AWAITED, Kind.CHILD_AWAITED)
_ENDS: Final = (
    Kind.PROMPT_ANSWERED, Kind.PROMPT_EXPIRED, Kind.PROMPT_WITHDRAWN, Kind.TIMER_FIRED, Kind.SIGNAL_TAKEN, Kind.CHILD_ENDED,
)  # fmt: skip


def waited(store: Store, execution: str, step: str, since: float) -> float:
    """Seconds from ``since`` until now during which ``step`` had something open that it waits for; what overlaps counts once.

    Args:
        store: the journal.
        execution: its id.
        step: its name.
        since: seconds since the epoch.

    Raises:
        StoreError: the journal cannot be read.
    """
    return _covered(store.read(execution, kinds=(*_BEGINS, *_ENDS)), step, since, clock.now())


def _covered(entries: Iterable[Entry], step: str, since: float, now: float) -> float:
    open_at: dict[str | None, float] = {}
    spans: list[tuple[float, float]] = []
    for entry in entries:
        if entry.kind in _BEGINS and entry.step == step:
            open_at.setdefault(entry.key, entry.at)
        elif entry.kind in _ENDS and entry.key in open_at:  # written from outside, an end may name no step
            spans.append((open_at.pop(entry.key), entry.at))
    spans += [(begun, now) for begun in open_at.values()]
    total, reached = 0.0, since
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, reached))
        reached = max(reached, ended)
    return total

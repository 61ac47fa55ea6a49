"""Calls that cost no commit of their own: reading a clock, drawing a random number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.durable import current
from holdfast.durable.interceptor import Request
from holdfast.durable.recorder import Recorder
from holdfast.model.call import Effect

#: How many readings of one kind are kept between two calls that reach the outside. A loop that only looks at the clock, or a simulation,
#: must not fill the journal; nothing outside can depend on a reading before the next call, and that call is checked by its request.
KEPT = 1000


def recording(operation: str) -> Recorder | None:
    """The recorder when this reading is to be recorded; None when no cell is, or when too many of its kind came without a call between."""
    recorder = current.active()
    cell = recorder.cell if recorder is not None else None
    if cell is None:
        return None
    with cell.lock:
        if cell.epoch != cell.calls:
            cell.epoch = cell.calls
            cell.readings.clear()
        n = cell.readings[operation] = cell.readings.get(operation, 0) + 1
    return recorder if n <= KEPT else None


def record(
    recorder: Recorder,
    kind: str,
    operation: str,
    detail: str,
    read: Callable[[], Any],
    *,
    store: Callable[[Any], Any] | None = None,
    load: Callable[[Any], Any] | None = None,
) -> Any:
    """One reading, or the recorded one. ``detail`` (the call site, the arguments) is part of its identity."""
    __tracebackhide__ = True
    return recorder.perform(reading(kind, operation, detail), lambda attempt: read(), store=store, load=load)


def reading(kind: str, operation: str, detail: str) -> Request:
    """The request of one reading."""
    return Request(kind=kind, operation=operation, fingerprint=f"{operation}\0{detail}".encode(), effect=Effect.READ, cheap=True)

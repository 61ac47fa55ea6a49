"""Counting in the journal, so that two that count at once cannot both be the last that is let through.

What is counted are lines of a stream. A decision reads the stream's end first and is written only if it still ends there; who was
overtaken decides again. A line is unique by what it counts, so that an effect which a kill interrupts counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.errors import StoreError
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.journal.store import Store
from holdfast.journal.streams import StreamMoved
from holdfast.model.stream import LineDraft

_PATIENCE = 30.0  # seconds of being overtaken


def enter(store: Store, stream: str, once: str, decide: Callable[[], Sequence[LineDraft]]) -> None:
    """Write what ``decide`` returns, unless ``once`` is there already.

    Args:
        once: of the first draft: what this counts.
        decide: looks at the stream and returns the lines; raises when nothing more may be counted. Called again after others wrote.

    Raises:
        StoreError: the journal cannot be written, or HF501: others kept writing for half a minute. Whatever ``decide`` raises.
    """
    streams, until = store.streams, clock.monotonic() + _PATIENCE
    if streams.line_once(stream, once) is not None:
        return
    while True:
        last, _ = streams.end(stream)
        drafts = decide()
        point("guardrail.before_count")
        try:
            streams.add(stream, drafts, last=last)
        except StreamMoved:
            if clock.monotonic() > until:
                raise StoreError("HF501", f"others keep writing to {stream!r}", cure="Try again: resume the execution.") from None
            continue
        point("guardrail.after_count")
        return

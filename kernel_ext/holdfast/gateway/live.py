"""Live progress as server-sent events: of one execution by the seq of its entries, of all by the order of commits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent

from holdfast.errors import RequestError, StoreError
from holdfast.executions.live import live
from holdfast.executions.timeline import timeline
from holdfast.gateway.asker import Asker
from holdfast.gateway.metrics import Metrics
from holdfast.gateway.schemas import ExecutionShown, MomentShown, OutputShown
from holdfast.model.execution import Execution

_LOOK: Final = 0.5  # seconds between two looks
_PAGE: Final = 500
_MOST: Final = 500  # listeners
_PING: Final = 15

Events = list[ServerSentEvent]


class Live:
    """Open streams. Each looks into the journal by itself: a look that finds nothing is one indexed read.

    Args:
        metrics: that count them.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics, self._open = metrics, 0

    def one(self, asker: Asker, header: Execution, after: int) -> EventSourceResponse:
        """Entries of one execution after a seq, then as they come, with what running cells show; ends with the execution.

        Raises:
            RequestError: HF714.
        """
        veil = asker.veil(header)
        last = after
        told: str | None = None
        shown_at: dict[str, float] = {}

        def look() -> tuple[Events, bool]:
            nonlocal last, told
            now = asker.hall.store.header(header.id) or header
            entries = asker.hall.store.read(header.id, after=last, limit=_PAGE)
            found = []
            for moment in timeline(entries):
                document = MomentShown(**veil(MomentShown.of(moment).model_dump())).model_dump(mode="json")
                found.append(ServerSentEvent(json.dumps(document), event="entry", id=str(moment.id)))
            if entries:
                last = entries[-1].seq
            for one in live(asker.hall.store, header.id):
                if shown_at.get(one.cell) != one.at:
                    shown_at[one.cell] = one.at
                    output = OutputShown(**veil(OutputShown.of(asker.hall.store, one).model_dump()))
                    found.append(ServerSentEvent(output.model_dump_json(), event="output", id=str(last)))
            shown = ExecutionShown.of(now)
            shown.parameters = veil(shown.parameters)
            state = f"{now.status} {now.owner} {now.reason}"
            if state != told or entries:
                told = state
                found.append(ServerSentEvent(shown.model_dump_json(), event="execution", id=str(last)))
            ended = now.status.ended and now.owner is None and len(entries) < _PAGE
            return ([*found, ServerSentEvent("{}", event="end", id=str(last))] if ended else found), ended

        return self._respond(look)

    def all(self, asker: Asker, after: int | None) -> EventSourceResponse:
        """What changes in all executions that they may see, after a place in the order of commits (None: from now on).

        Raises:
            RequestError: HF714. StoreError.
        """
        streams = asker.hall.store.streams
        last = streams.newest_change() if after is None else after
        seen: dict[str, Execution | None] = {}

        def look() -> tuple[Events, bool]:
            nonlocal last
            found: Events = []
            if len(seen) > _PAGE:
                seen.clear()
            for place, entry in streams.changes(after=last, limit=_PAGE):
                last = place
                if entry.execution not in seen:
                    seen[entry.execution] = asker.hall.store.header(entry.execution)
                header = seen[entry.execution]
                if header is None or not asker.may("see", header.runbook):
                    continue
                veil = asker.veil(header)
                for moment in timeline((entry,), calls=False):
                    document = {"execution": header.id, "runbook": header.runbook, **veil(MomentShown.of(moment).model_dump(mode="json"))}
                    found.append(ServerSentEvent(json.dumps(document), event="change", id=str(place)))
            return found, False

        return self._respond(look)

    def _respond(self, look: Callable[[], tuple[Events, bool]]) -> EventSourceResponse:
        if self._open >= _MOST:
            raise RequestError("HF714", f"{_MOST} streams are open already", cure="Try again later, or read the timeline.")

        async def events() -> AsyncIterator[ServerSentEvent]:
            self._open += 1
            self._metrics.listeners.set(self._open)
            try:
                yield ServerSentEvent(comment="holdfast", retry=2000)
                while True:
                    try:
                        found, ended = await asyncio.to_thread(look)
                    except StoreError:
                        found, ended = [], False  # the journal is away: the next look may find it
                    for one in found:
                        yield one
                    if ended:
                        return
                    await asyncio.sleep(_LOOK)
            finally:
                self._open -= 1
                self._metrics.listeners.set(self._open)

        return EventSourceResponse(events(), ping=_PING)


def place_of(header: str | None, query: int | None) -> int | None:
    """Where a listener left off: ``Last-Event-ID`` (a browser that comes back), else the query."""
    if header and header.isdigit() and len(header) < 19:
        return int(header)
    return query

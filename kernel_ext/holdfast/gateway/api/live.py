"""Live progress, as server-sent events."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from holdfast.gateway.asker import Asking
from holdfast.gateway.live import Live, place_of
from holdfast.gateway.problems import responses
from holdfast.gateway.texts import ExecutionId

router = APIRouter(tags=["live"])

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=40, description="Where a listener left off.")]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.get("/executions/{id}/live", response_class=Response, responses={**_STREAM, **responses(404)})
async def live(
    request: Request,
    asker: Asking,
    id: ExecutionId,
    after: Annotated[int, Query(ge=0, le=2**31)] = 0,
    last_event_id: LastEventId = None,
) -> Response:
    """One execution: `entry` for each line of its timeline (id: its seq), `output` with what a running
    cell has shown so far, `execution` when its state changes, `end` at its end."""
    streams: Live = request.app.state.live
    return await asyncio.to_thread(lambda: streams.one(asker, asker.execution(id), place_of(last_event_id, after) or 0))


@router.get("/live", response_class=Response, responses={**_STREAM, **responses()})
async def live_all(
    request: Request,
    asker: Asking,
    after: Annotated[int | None, Query(ge=0, le=2**53, description="A place in the order of commits; without it: from now on.")] = None,
    last_event_id: LastEventId = None,
) -> Response:
    """All executions: `change` for each line of a timeline but calls (id: its place in the order of commits)."""
    streams: Live = request.app.state.live
    return await asyncio.to_thread(streams.all, asker, place_of(last_event_id, after))

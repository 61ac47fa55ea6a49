"""What channels send back: buttons in Slack, answers of webhooks. The channel proves the request, not a token of ours."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from holdfast.channels.channel import Callback
from holdfast.errors import HoldfastError
from holdfast.gateway.asker import address_of, hall_of, refused
from holdfast.gateway.hearing import hear
from holdfast.gateway.problems import responses
from holdfast.gateway.texts import Name

router = APIRouter(tags=["channels"])
_log = logging.getLogger("holdfast.gateway")
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"*/*": {"schema": {}}}}}


@router.post("/channels/{name}", responses=responses(404, 409), openapi_extra=_BODY)
async def post_callback(request: Request, name: Name, tasks: BackgroundTasks) -> Response:
    """An answer that comes through a channel of the channels file, with that channel's own proof (a signature)."""
    callback = Callback(
        body=await request.body(), headers={k.lower(): v for k, v in request.headers.items()}, query=dict(request.query_params)
    )
    hall = hall_of(request)

    def work() -> Response:
        try:
            channel = hall.channels.get(name)
        except HoldfastError as error:
            refused(request, None, error)
            raise
        reply = hear(hall, channel, callback, address_of(request))
        if reply.then is not None:
            tasks.add_task(_afterwards, reply.then)
        return Response(reply.content, status_code=reply.status, media_type=reply.type, background=tasks)

    return await run_in_threadpool(work)


def _afterwards(then: Any) -> None:
    try:
        then()
    except Exception as error:
        _log.warning("after a callback: %s", error)

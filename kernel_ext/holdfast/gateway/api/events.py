"""Events from outside: taken into the durable inbox once their sender has proved itself."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from holdfast.access.audit import ALLOWED
from holdfast.errors import HoldfastError
from holdfast.events.inbox import Accepted, receive
from holdfast.events.settings import EventsFile
from holdfast.gateway.asker import Asker, address_of, asker, hall_of, recognise, refused
from holdfast.gateway.problems import responses
from holdfast.gateway.schemas import Shown
from holdfast.gateway.texts import Name

router = APIRouter(tags=["events"])
_PLAIN = "cloudevents"
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/cloudevents+json": {"schema": {"type": "object"}}, "*/*": {"schema": {}}}}
}


class EventTaken(Shown):
    """An event that is in the inbox now."""

    seq: int
    id: str
    source: str
    type: str
    new: bool

    @classmethod
    def of(cls, taken: Accepted) -> EventTaken:
        """From the inbox."""
        return cls(seq=taken.seq, id=taken.event.id, source=taken.event.source, type=taken.event.type, new=taken.new)


class EventsTaken(Shown):
    """What became of a request: all of its events are durable."""

    events: list[EventTaken]


@router.post("/events", status_code=202, responses=responses(404), openapi_extra=_BODY)
async def post_event(request: Request) -> EventsTaken:
    """A CloudEvent (binary, structured or a batch) by somebody who is signed in. One sent before is taken once."""
    return await _take(request, _PLAIN)


@router.post("/events/{source}", status_code=202, responses=responses(404), openapi_extra=_BODY)
async def post_event_of(request: Request, source: Name) -> EventsTaken:
    """A request of a source of the events file: a vendor's webhook, with its own proof; or of somebody who is signed in."""
    return await _take(request, source)


async def _take(request: Request, source: str) -> EventsTaken:
    body = await request.body()
    hall = hall_of(request)
    events = await run_in_threadpool(EventsFile.load, hall.config)
    given = await run_in_threadpool(events.source, source)
    who: Asker | None = None
    if not given.trust.given or await _signed_in(request):
        who = await asker(request)
    return await run_in_threadpool(_receive, request, source, body, events, who)


async def _signed_in(request: Request) -> bool:
    """A sender with a proof of its own may bring a token that is not ours."""
    try:
        return await recognise(request) is not None
    except HoldfastError:
        return False


def _receive(request: Request, source: str, body: bytes, events: EventsFile, who: Asker | None) -> EventsTaken:
    hall = hall_of(request)
    headers = {k.lower(): v for k, v in request.headers.items()}
    if who is not None and not events.source(source).trust.given:
        with who.acting("event", source, source):
            return _told(receive(hall.store, source, headers, body, events=events, known=who.person.name))
    try:
        taken = receive(hall.store, source, headers, body, events=events)
    except HoldfastError as error:
        refused(request, None, error)
        raise
    hall.audit.write(ALLOWED, None, "event", source, via="api", address=address_of(request), detail=", ".join(t.event.id for t in taken))
    return _told(taken)


def _told(taken: list[Accepted]) -> EventsTaken:
    return EventsTaken(events=[EventTaken.of(t) for t in taken])

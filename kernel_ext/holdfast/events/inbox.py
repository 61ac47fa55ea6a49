"""The durable inbox: an event is accepted when it is in the journal, once per source and id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from holdfast.errors import LookupFailedError, RequestError
from holdfast.events.cloudevents import misunderstood
from holdfast.events.settings import EventsFile
from holdfast.events.signatures import refused
from holdfast.foundation import clock, faults
from holdfast.foundation.secrets import Redactor, is_secret_name
from holdfast.journal.store import Store
from holdfast.model.event import Event
from holdfast.model.stream import Line, LineDraft

#: The stream of accepted events.
INBOX: Final = "events"

_KIND: Final = "event"
_LONGEST: Final = 1000  # characters of what events are found by


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the inbox."""

    seq: int  # its number in the inbox
    event: Event
    at: float  # when it came, seconds since the epoch
    via: str  # the source's name, or who sent it
    new: bool = True  # False: it was there already


def receive(
    store: Store, source: str, headers: Mapping[str, str], body: bytes, *, events: EventsFile, known: str | None = None
) -> list[Accepted]:
    """Take an HTTP request from ``source`` into the inbox; when this returns, its events are durable.

    Args:
        source: a source's name.
        headers: of the request, names in any case.
        body: as it came, byte for byte (signatures cover it).
        events: the events file.
        known: the person or program that the caller knows the sender to be; None: nobody. A source that asks for no
            proof of its own takes requests of known senders only.

    Raises:
        LookupFailedError: HF608, no such source (404).
        RequestError: HF720 not proved, HF721 too old (both 401), HF722 not understood (400).
        StoreError: the event was not accepted, the sender must try again (503).
    """
    given = events.source(source)
    lower = {name.lower(): value for name, value in headers.items()}
    if given.trust.given:
        given.source.verify(lower, body, given.trust, clock.now())
    elif known is None:
        raise refused("the source has neither secret nor token, and the sender is not signed in", source=source)
    try:
        found = given.source.read(source, lower, body, given.trust)
    except RequestError as error:
        raise RequestError(error.code, error.what, cure=error.cure, **{**error.where, "source": source}) from None
    return accept(store, found, via=known or source, keep=given.keep)


def accept(store: Store, events: Iterable[Event], *, via: str, keep: Collection[str] = ()) -> list[Accepted]:
    """Put events into the inbox, all or none; one that is there already (same source, same id) is not put in again. Credentials in them are
    masked first (see :func:`without_secrets`).

    Args:
        via: the source's name, or who sends, for the record.
        keep: names of fields that are no secrets, whatever they are called.

    Raises:
        RequestError: HF722, id, type or subject cannot be kept. StoreError.
    """
    drafts = [_draft(event, via) for event in without_secrets(events, keep)]
    added = store.streams.add(INBOX, drafts) if drafts else []
    faults.point("event.after_receive")
    return [msgspec.structs.replace(_accepted(one.line), new=one.new) for one in added]


def without_secrets(events: Iterable[Event], keep: Collection[str] = ()) -> list[Event]:
    """Events in whose data and extensions everything is masked that stands under the name of a secret (``token``, ``db_password``,
    ``Authorization``), and what texts carry of the kind: passwords in addresses, ``Bearer ...``, ``token=...``."""
    kept = {name.lower() for name in keep}
    redactor = Redactor(is_secret=lambda name: is_secret_name(name) and name.lower() not in kept)

    def masked(data: Any) -> Any:
        if not isinstance(data, bytes):
            return redactor.redact(data)
        text = data.decode("utf-8", "surrogateescape")
        return redactor.text(text).encode("utf-8", "surrogateescape")

    return [
        msgspec.structs.replace(e, source=redactor.text(e.source), data=masked(e.data), extensions=redactor.redact(e.extensions))
        for e in events
    ]


def _draft(event: Event, via: str) -> LineDraft:
    for name in ("id", "type", "subject"):
        text = getattr(event, name) or ""
        if len(text) > _LONGEST or any(ord(c) < 32 for c in text):
            raise misunderstood(f"its {name} is longer than {_LONGEST:,} characters, or holds control characters")
    return LineDraft(kind=_KIND, key=event.type, once=f"{event.source}\n{event.id}", actor=via, body=msgspec.msgpack.encode(event))


def list_events(
    store: Store, *, type: str | None = None, after: int = 0, newest_first: bool = True, limit: int | None = 100
) -> list[Accepted]:
    """Events in the inbox, of one type when given. Raises ``StoreError``."""
    lines = store.streams.lines(INBOX, key=type, after=after, newest_first=newest_first, limit=limit)
    return [_accepted(line) for line in lines]


def find_event(store: Store, which: str) -> Accepted:
    """An event by its number in the inbox, or by its id where no other source has one of that id among the newest 10,000.

    Raises:
        LookupFailedError: HF609. StoreError.
    """
    if which.isdigit() and (lines := store.streams.lines(INBOX, after=int(which) - 1, limit=1)) and lines[0].seq == int(which):
        return _accepted(lines[0])
    found: list[Line] = []
    for line in store.streams.lines(INBOX, newest_first=True, limit=10_000):
        if (line.once or "").partition("\n")[2] == which:
            found.append(line)
    if len(found) != 1:
        why = f"{len(found)} sources have an event of this id" if found else "no such event"
        raise LookupFailedError("HF609", why, cure="`holdfast events list` shows them with their numbers.", event=which)
    return _accepted(found[0])


def _accepted(line: Line) -> Accepted:
    return Accepted(seq=line.seq, event=msgspec.msgpack.decode(line.body, type=Event), at=line.at, via=line.actor)


def as_scope(event: Event) -> dict[str, Any]:
    """What rules see of an event: ``event`` with its attributes and data, ``data`` and ``trigger`` for its data alone."""
    data = event.data.hex() if isinstance(event.data, bytes) else event.data
    return {"event": {**event.attributes, "subject": event.subject, "data": data}, "data": data, "trigger": data}

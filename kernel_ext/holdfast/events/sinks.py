"""Telling sinks what happened: at least once, in order, each sink at its own pace."""

from __future__ import annotations

import fnmatch
import json
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from holdfast.errors import StoreError
from holdfast.events.cloudevents import to_json, to_structured
from holdfast.events.outgoing import event_of
from holdfast.events.settings import SinkSettings
from holdfast.events.signatures import hmac_hex
from holdfast.foundation import clock, faults
from holdfast.foundation.posting import NotTaken, post
from holdfast.journal.ownership import gone, this_process
from holdfast.journal.store import Store
from holdfast.model.cursor import Cursor
from holdfast.model.event import Event
from holdfast.model.execution import Execution
from holdfast.model.stream import LineDraft

_log = logging.getLogger("holdfast.events")
#: The stream of events that a sink refused for good.
UNDELIVERED: Final = "undelivered"
_CURSORS: Final = "sink/"
_PAGE: Final = 200
_COMMIT_EVERY: Final = 10
_LEASE: Final = 60.0  # seconds; beyond a sink's time-out
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0


class SinkState(msgspec.Struct, frozen=True, kw_only=True):
    """What a sink's cursor remembers."""

    owner: str | None = None  # who delivers now
    until: float = 0.0  # how long at most
    attempts: int = 0  # in vain, since the last success
    next_at: float = 0.0  # not before
    error: str | None = None


class SinkFailed(Exception):
    """A delivery that must be tried again."""


class SinkRefused(Exception):
    """A delivery that the sink does not want, whatever we do."""


def deliver_due(store: Store, sinks: Iterable[SinkSettings], *, patience: float = 1.0) -> int:
    """Tell every sink what it has not been told.

    A sink that is slow or dead holds up no other and, beyond ``patience``, not the caller either: it is served by a thread that goes on.
    May be called by several processes at a time; one of them serves a sink.

    Args:
        sinks: as configured.
        patience: seconds for which sinks are waited for.

    Returns:
        events delivered while the caller waited.

    Raises:
        StoreError: the journal cannot be reached.
    """
    counts: dict[str, int] = {}
    threads = []
    for sink in sinks:
        if sink.enabled and _due(store, sink):
            thread = threading.Thread(target=_serve, args=(store, sink, counts), name=f"holdfast-sink-{sink.name}", daemon=True)
            thread.start()
            threads.append(thread)
    until = clock.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, until - clock.monotonic()))
    return sum(counts.values())


def sink_state(store: Store, name: str) -> tuple[int, SinkState]:
    """The place up to which a sink was told, and how it stands."""
    cursor = store.streams.cursor(_CURSORS + name)
    return cursor.position, _state(cursor)


def _due(store: Store, sink: SinkSettings) -> bool:
    """Whether there is something to tell a sink that nobody serves. A new sink begins here."""
    cursor = store.streams.cursor(_CURSORS + sink.name)
    if cursor.version == 0:
        begins = store.streams.newest_change() if sink.begins == "now" else 0
        cursor = store.streams.move(cursor, begins, body=msgspec.msgpack.encode(SinkState())) or store.streams.cursor(cursor.name)
    state, now = _state(cursor), clock.now()
    if state.next_at > now or (state.owner is not None and state.until > now and not gone(state.owner)):
        return False
    return bool(store.streams.changes(after=cursor.position, limit=1))


def _serve(store: Store, sink: SinkSettings, counts: dict[str, int]) -> None:
    try:
        _deliver(store, sink, counts)
    except StoreError as error:
        _log.warning("sink %s: %s", sink.name, error)
    except Exception:
        _log.exception("sink %s", sink.name)


def _deliver(store: Store, sink: SinkSettings, counts: dict[str, int]) -> None:
    owner = this_process(f"sink-{threading.get_ident()}").text
    cursor = store.streams.cursor(_CURSORS + sink.name)
    before = _state(cursor)
    held = _moved(store, cursor, cursor.position, msgspec.structs.replace(before, owner=owner, until=clock.now() + _LEASE + sink.timeout))
    headers: dict[str, Execution | None] = {}
    while held is not None:
        page = store.streams.changes(after=held.position, limit=_PAGE)
        place, told = held.position, 0
        for place_now, entry in page:
            if entry.execution not in headers:
                headers[entry.execution] = store.header(entry.execution)
            event = event_of(entry, headers[entry.execution])
            try:
                if event is not None and _wanted(sink, event):
                    _send(sink, event)
                    faults.point("sink.after_delivery")
                    counts[sink.name] = counts.get(sink.name, 0) + 1
                    told += 1
            except SinkRefused as refused:
                assert event is not None
                said = {"sink": sink.name, "event": to_json(event), "error": str(refused)}
                store.streams.add(UNDELIVERED, [LineDraft(kind="refused", key=sink.name, once=f"{sink.name}\n{event.id}", body=said)])
                _log.warning("sink %s refused %s: %s", sink.name, event.id, refused)
            except SinkFailed as failed:
                _put_off(store, held, place, before, str(failed))
                return
            place, before = place_now, SinkState()
            if told >= _COMMIT_EVERY:
                told = 0
                held = _moved(store, held, place, SinkState(owner=owner, until=clock.now() + _LEASE + sink.timeout))
                if held is None:
                    return
        done = len(page) < _PAGE
        state = SinkState() if done else SinkState(owner=owner, until=clock.now() + _LEASE + sink.timeout)
        held = _moved(store, held, place, state)
        if done:
            return


def _put_off(store: Store, held: Cursor, place: int, before: SinkState, error: str) -> None:
    attempts = before.attempts + 1
    pause = min(_FIRST_PAUSE * 2.0 ** min(attempts - 1, 30), _LONGEST_PAUSE)
    _moved(store, held, place, SinkState(attempts=attempts, next_at=clock.now() + pause, error=error))


def _moved(store: Store, cursor: Cursor, place: int, state: SinkState) -> Cursor | None:
    return store.streams.move(cursor, place, body=msgspec.msgpack.encode(state))


def _state(cursor: Cursor) -> SinkState:
    return msgspec.msgpack.decode(cursor.body, type=SinkState) if cursor.body else SinkState()


def _wanted(sink: SinkSettings, event: Event) -> bool:
    runbook = str(event.data.get("runbook") or "")
    return _fits(event.type, sink.types) and _fits(runbook, sink.runbooks)


def _fits(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def _send(sink: SinkSettings, event: Event) -> None:
    """Hand one event over. Raises :class:`SinkFailed`, :class:`SinkRefused`."""
    if sink.file is not None:
        _write(sink, event)
    else:
        _post(sink, event)


def _write(sink: SinkSettings, event: Event) -> None:
    assert sink.file is not None
    line = json.dumps(to_json(event), ensure_ascii=False).encode() + b"\n"
    try:
        sink.file.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(sink.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(fd, line) != len(line):
                raise SinkFailed("the disk is full")
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise SinkFailed(f"{sink.file}: {error.strerror}") from None


def _post(sink: SinkSettings, event: Event) -> None:
    assert sink.url is not None
    headers, body = to_structured(event)
    signed: Mapping[str, str] = {} if sink.secret is None else {"X-Holdfast-Signature": f"sha256={hmac_hex(sink.secret, body)}"}
    try:
        post(sink.url, body, {**headers, **sink.headers, **signed}, timeout=sink.timeout)
    except NotTaken as error:
        raise (SinkRefused if error.refused else SinkFailed)(error.why) from None

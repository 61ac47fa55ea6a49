"""From the inbox to executions: every rule on every event, once, whoever does it and whenever it dies."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from holdfast.errors import HoldfastError, StoreError
from holdfast.events import decisions
from holdfast.events.inbox import list_events
from holdfast.events.rules import Rules
from holdfast.foundation import faults
from holdfast.journal.store import Store
from holdfast.model.execution import Execution
from holdfast.model.stream import Line

_log = logging.getLogger("holdfast.events")
_SEEN: Final = "rules"  # cursor: how far each rule has come in the inbox
_ACTED: Final = "decisions"  # cursor: up to where decisions are carried out; body: those that wait in a queue
_PAGE: Final = 100


class Starter(Protocol):
    """What dispatching needs of ``holdfast.client.Client``."""

    @property
    def store(self) -> Store:
        """The journal."""

    def start(
        self,
        notebook: Path | str,
        parameters: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        key: str | None = None,
        via: str = "",
    ) -> Execution:
        """Queue an execution."""

    def cancel(self, id: str, *, why: str = "") -> Execution:
        """End an execution."""

    def signal(self, id: str, name: str, value: Any = None, *, key: str | None = None, via: str = "") -> Any:
        """Send an execution a signal, once per key."""


class Dispatched(msgspec.Struct, kw_only=True):
    """What one look brought about."""

    events: int = 0  # looked at
    decided: list[Line] = []
    started: list[str] = []  # executions
    refused: list[Line] = []  # what could not be rendered or started


def dispatch_due(client: Starter, rules: Rules) -> Dispatched:
    """Try the rules on all events that they have not seen, carry out what was decided, and start what has waited for its turn.

    May be called by several processes at a time and killed anywhere: an event starts a rule's runbook once. A rule sees the events that
    come after it was first loaded (the first rules of an installation: all). Executions are queued; workers run them.

    Raises:
        StoreError: the journal cannot be reached; the rest is done the next time.
    """
    told = Dispatched()
    while True:
        more = _decide(client.store, rules, told)
        acted = _act(client, told)
        if not more and not acted:
            return told


def _decide(store: Store, rules: Rules, told: Dispatched) -> bool:
    """One page of the inbox. Whether there may be more."""
    if not rules.rules:
        return False
    cursor = store.streams.cursor(_SEEN)
    seen: dict[str, int] = msgspec.msgpack.decode(cursor.body) if cursor.body else {}
    came = {rule.id: seen.get(rule.id, cursor.position) for rule in rules.rules}
    page = list_events(store, after=min(came.values()), newest_first=False, limit=_PAGE)
    for accepted in page:
        told.events += 1
        for rule in rules.rules:
            if came[rule.id] < accepted.seq and (line := decisions.decide(store, rule, accepted)) is not None:
                told.decided.append(line)
                if line.kind == decisions.REFUSED:
                    told.refused.append(line)
    if page or came.keys() - seen.keys():
        last = page[-1].seq if page else 0
        body = msgspec.msgpack.encode({**seen, **{id: max(place, last) for id, place in came.items()}})
        store.streams.move(cursor, max(cursor.position, last), body=body)
    return bool(page)


def _act(client: Starter, told: Dispatched) -> bool:
    """Carry out one page of decisions and look at the queue. Whether something was done."""
    store = client.store
    cursor = store.streams.cursor(_ACTED)
    waiting: list[int] = msgspec.msgpack.decode(cursor.body) if cursor.body else []
    page = store.streams.lines(decisions.DECISIONS, after=cursor.position, limit=_PAGE)
    for line in page:
        if line.kind == decisions.QUEUE:
            waiting.append(line.seq)
        else:
            _carry_out(client, line, told)
    left, released = [], False
    for seq in sorted(set(waiting)):
        if decisions.settled(store, seq):
            continue
        left.append(seq)
        line = store.streams.lines(decisions.DECISIONS, after=seq - 1, limit=1)[0]
        if decisions.release(store, line) is not None:
            released = True
    body = msgspec.msgpack.encode(left)
    if page or body != (cursor.body or msgspec.msgpack.encode([])):
        store.streams.move(cursor, page[-1].seq if page else cursor.position, body=body)
    return bool(page) or released


def _carry_out(client: Starter, line: Line, told: Dispatched) -> None:
    try:
        if line.kind == decisions.START:
            _start(client, line, told)
        elif line.kind == decisions.CANCEL:
            _cancel(client, line.data["executions"], line.data["why"])
            decisions.drop(client.store, line.data["drops"], line.data["why"])
        elif line.kind == decisions.SIGNAL:
            _signal(client, line)
    except StoreError:
        raise
    except HoldfastError as error:
        _log.error("rule %s, event %s: %s", line.data.get("rule"), line.data.get("event"), error)
        told.refused.append(decisions.mark_failed(client.store, line, error))


def _start(client: Starter, line: Line, told: Dispatched) -> None:
    said = line.data
    if client.store.header(said["execution"]) is not None or decisions.failure(client.store, line) is not None:
        return
    if "replaces" in said:
        _cancel(client, said["replaces"], f"{said['execution']} takes its place (overlap: replace)")
        decisions.drop(client.store, said["drops"], f"{said['execution']} takes its place")
    client.start(said["runbook"], said["parameters"], id=said["execution"], key=said["start_key"], via=f"rule {said['rule']}")
    faults.point("event.after_start")
    told.started.append(said["execution"])


def _cancel(client: Starter, executions: list[str], why: str) -> None:
    for execution in executions:
        header = client.store.header(execution)
        if header is not None and not header.status.ended:
            client.cancel(execution, why=why)


def _signal(client: Starter, line: Line) -> None:
    for execution in line.data["executions"]:
        header = client.store.header(execution)
        if header is not None and not header.status.ended:
            key = f"decision {line.seq}"
            client.signal(execution, line.data["name"], line.data["value"], key=key, via=f"rule {line.data['rule']}")
    decisions.drop(client.store, line.data["drops"], "it is over")

"""What became of each event at each rule: one line per decision, written before anything is done about it.

A decision is made from all decisions before it, and is written only if no other has been written meanwhile; so two dispatchers side by
side cannot both find that nothing runs for a key. It names the execution that is to be, by id: doing it twice finds it there.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.errors import HoldfastError, OperatorError
from holdfast.events.cloudevents import to_json
from holdfast.events.inbox import Accepted
from holdfast.events.matching import Match, match
from holdfast.events.rules import Rule
from holdfast.foundation import clock, faults
from holdfast.journal.store import Store
from holdfast.journal.streams import StreamMoved
from holdfast.model.execution import new_id
from holdfast.model.stream import Line, LineDraft

#: The stream of decisions.
DECISIONS: Final = "decisions"

# Kinds of lines.
START: Final = "start"
QUEUE: Final = "queue"  # to be started when what runs for the key has ended
SKIP: Final = "skip"
SIGNAL: Final = "signal"
CANCEL: Final = "cancel"
REFUSED: Final = "refused"  # a rule that cannot be rendered, an execution that cannot be started: people must see it
STARTED_BEFORE: Final = "dedup"  # marks a start under its dedup key
_DONE: Final = "done"
#: How many decisions about one key are looked at.
_LOOK_BACK: Final = 50


def decide(store: Store, rule: Rule, accepted: Accepted) -> Line | None:
    """Decide, once, what ``rule`` makes of an event; None when it does not match.

    Raises:
        StoreError.
    """
    once = f"{rule.id}\n{accepted.seq}"
    found: Match | None = None
    while True:
        last, _ = store.streams.end(DECISIONS)
        try:
            found = found or match(rule, accepted.event)
            if not found.matched:
                return None
            drafts = _drafts(store, rule, accepted, found)
        except HoldfastError as error:
            if error.code != "HF282":
                raise
            drafts = [LineDraft(kind=REFUSED, body={"rule": rule.id, "event": accepted.seq, "error": error.to_dict()})]
        drafts[0] = msgspec.structs.replace(drafts[0], once=once, actor=f"rule {rule.id}")
        there = store.streams.line_once(DECISIONS, once)
        if there is not None:
            return there
        try:
            line = store.streams.add(DECISIONS, drafts, last=last)[0].line
        except StreamMoved:
            continue
        faults.point("event.after_decision")
        return line


def _drafts(store: Store, rule: Rule, accepted: Accepted, found: Match) -> list[LineDraft]:
    key = f"{rule.id}\n{found.key}"
    body: dict[str, Any] = {"rule": rule.id, "event": accepted.seq, "key": found.key}
    running = active(store, key)
    waiting = queued(store, key)
    if found.over:
        return [_over(rule, accepted, key, body, running, waiting)]
    if (why := _unwanted(store, rule, accepted, found)) is not None:
        return [LineDraft(kind=SKIP, key=key, body={**body, "why": why})]
    start = {
        **body,
        "execution": new_id(clock.now()),
        "runbook": str(rule.path),
        "parameters": _plain(found.parameters, rule, accepted),
        "start_key": f"rule/{rule.id}/{accepted.event.source}/{accepted.event.id}",
    }
    marks = [] if found.dedup is None else [LineDraft(kind=STARTED_BEFORE, key=_dedup_key(rule, found.dedup), body=body)]
    if rule.overlap == "allow" or not (running or waiting):
        return [LineDraft(kind=START, key=key, body=start), *marks]
    if rule.overlap == "skip":
        return [LineDraft(kind=SKIP, key=key, body={**body, "why": f"{(running or ['one'])[0]} is not over yet (overlap: skip)"})]
    if rule.overlap == "replace":
        return [LineDraft(kind=START, key=key, body={**start, "replaces": running, "drops": waiting}), *marks]
    return [LineDraft(kind=QUEUE, key=key, body=start), *marks]


def _over(rule: Rule, accepted: Accepted, key: str, body: dict[str, Any], running: list[str], waiting: list[int]) -> LineDraft:
    if not running and not waiting:
        return LineDraft(kind=SKIP, key=key, body={**body, "why": "it is over, and nothing runs for it"})
    more = {"executions": running, "drops": waiting}
    if rule.resolved.then == "cancel":
        return LineDraft(kind=CANCEL, key=key, body={**body, **more, "why": f"{accepted.event.type} ({accepted.event.id})"})
    return LineDraft(kind=SIGNAL, key=key, body={**body, **more, "name": rule.resolved.name, "value": to_json(accepted.event)})


def _unwanted(store: Store, rule: Rule, accepted: Accepted, found: Match) -> str | None:
    """Why nothing is to be started although the rule matches."""
    if not rule.enabled:
        return "the rule is disabled"
    age = clock.now() - accepted.at
    if rule.max_age is not None and age > rule.max_age:
        return f"the event came {age:.0f} s ago, max_age is {rule.max_age:.0f} s"
    if rule.dedup is not None and found.dedup is not None:
        before = store.streams.lines(DECISIONS, key=_dedup_key(rule, found.dedup), newest_first=True, limit=1)
        if before and clock.now() - before[0].at < rule.dedup.window:
            return f"event {before[0].data['event']} with the same dedup key was {clock.now() - before[0].at:.0f} s ago"
    return None


def _dedup_key(rule: Rule, value: str) -> str:
    return f"{rule.id}\n#dedup\n{value}"


def _plain(parameters: Any, rule: Rule, accepted: Accepted) -> dict[str, Any]:
    """Parameters as JSON types."""
    try:
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(parameters))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise OperatorError(
            "HF282",
            f"a parameter is no JSON value: {error}",
            cure="Correct the rule.",
            file=rule.file,
            rule=rule.id,
            event=accepted.event.id,
        ) from None
    return plain


def active(store: Store, key: str) -> list[str]:
    """The executions that were decided on for ``key`` and have not ended: also those that are not there yet."""
    found = []
    for line in store.streams.lines(DECISIONS, key=key, kinds=(START,), newest_first=True, limit=_LOOK_BACK):
        execution = line.data["execution"]
        header = store.header(execution)
        if (header is None and failure(store, line) is None) or (header is not None and not header.status.ended):
            found.append(execution)
    return found[::-1]


def queued(store: Store, key: str) -> list[int]:
    """The decisions to queue for ``key`` that are neither released nor dropped, the oldest first."""
    lines = store.streams.lines(DECISIONS, key=key, kinds=(QUEUE,), newest_first=True, limit=_LOOK_BACK)
    return [line.seq for line in lines[::-1] if not settled(store, line.seq)]


def settled(store: Store, seq: int) -> bool:
    """Whether a queued decision has been released or dropped."""
    return store.streams.line_once(DECISIONS, f"release\n{seq}") is not None


def release(store: Store, line: Line) -> Line | None:
    """Start what was queued, if it is its turn; the new decision, None when it must wait on (or is settled)."""
    while True:
        last, _ = store.streams.end(DECISIONS)
        waiting = queued(store, line.key or "")
        if not waiting or waiting[0] != line.seq or active(store, line.key or ""):
            return None
        draft = LineDraft(kind=START, key=line.key, once=f"release\n{line.seq}", actor=line.actor, body=line.body)
        try:
            return store.streams.add(DECISIONS, [draft], last=last)[0].line
        except StreamMoved:
            continue


def drop(store: Store, seqs: list[int], why: str) -> None:
    """Queued decisions that will not be started."""
    store.streams.add(DECISIONS, [LineDraft(kind=_DONE, once=f"release\n{seq}", body={"why": why}) for seq in seqs])


def failure(store: Store, line: Line) -> Line | None:
    """The line that says why a decision could not be carried out."""
    return store.streams.line_once(DECISIONS, f"failed\n{line.seq}")


def mark_failed(store: Store, line: Line, error: HoldfastError) -> Line:
    """Note that a decision cannot be carried out; it is not tried again."""
    said = {"rule": line.data["rule"], "event": line.data["event"], "decision": line.seq, "error": error.to_dict()}
    return store.streams.add(DECISIONS, [LineDraft(kind=REFUSED, key=line.key, once=f"failed\n{line.seq}", body=said)])[0].line


def decisions_about(store: Store, seq: int) -> list[Line]:
    """What was decided about event ``seq`` among the newest 10,000 decisions, the oldest first. Raises ``StoreError``."""
    lines = store.streams.lines(DECISIONS, newest_first=True, limit=10_000)
    return [line for line in reversed(lines) if line.kind != STARTED_BEFORE and line.data.get("event") == seq]

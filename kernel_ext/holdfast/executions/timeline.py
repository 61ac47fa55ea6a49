"""The journal of an execution told for people: when, who, what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from holdfast.foundation import clock
from holdfast.journal.ownership import described
from holdfast.model.entry import Entry, Kind


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the story. ``at`` in seconds since the epoch."""

    id: int  # the entry's seq
    at: float
    who: str
    kind: str
    step: str | None
    key: str | None  # the prompt, call, signal ... that it speaks of
    text: str


def timeline(entries: Iterable[Entry], *, calls: bool = True) -> list[Moment]:
    """Entries as lines.

    Args:
        calls: with every call's intent and outcome; clock and random are left out in any case.
    """
    quiet: set[str] = set()
    operations: dict[str, Any] = {}  # a write's outcome leaves out what its intent says
    moments = []
    for entry in entries:
        body = entry.data
        if entry.kind in (Kind.CALL_INTENT, Kind.CALL_OUTCOME):
            if body.get("kind") in ("clock", "random"):
                quiet.add(entry.key or "")
            if not calls or entry.key in quiet:
                continue
            body = {**body, "operation": operations.setdefault(entry.key or "", body.get("operation"))}
        text = _text(entry, body)
        if text:
            who = str(body.get("who") or body.get("by") or entry.actor or "")
            moments.append(Moment(id=entry.seq, at=entry.at, who=who, kind=entry.kind, step=entry.step, key=entry.key, text=text))
    return moments


def _text(entry: Entry, body: dict[str, Any]) -> str:
    describe = _TEXTS.get(str(entry.kind))
    return describe(entry, body) if describe else f"{entry.kind} {entry.key or ''}".strip()


def _why(body: dict[str, Any]) -> str:
    why = body.get("why") or body.get("reason")
    return f": {why}" if why else ""


def _created(entry: Entry, body: dict[str, Any]) -> str:
    forked = f", forked from {body['forked_from']} at step {body.get('from_step')}" if body.get("forked_from") else ""
    given = ", ".join(f"{k}={v!r}" for k, v in (body.get("parameters") or {}).items())
    return f"started {body.get('runbook', '')}" + (f" with {given}" if given else "") + forked


def _failed(entry: Entry, body: dict[str, Any]) -> str:
    error = body.get("error") or {}
    attempt = f" in attempt {body['attempt']}" if int(body.get("attempt") or 1) > 1 else ""
    name, what = str(error.get("code") or error.get("type") or "error"), str(error.get("what", ""))
    return f"step {entry.step} failed{attempt}: " + (what if what.startswith(name) else f"{name}: {what}")


def _outcome(entry: Entry, body: dict[str, Any]) -> str:
    what = body.get("operation") or "call"
    error = body.get("error")
    told = f": {error.get('what') or error.get('type')}" if isinstance(error, dict) else ""
    again = ", will be tried again" if body.get("transient") else ""
    return f"{what} {body.get('state')}{told}{again}"


def _note(entry: Entry, body: dict[str, Any]) -> str:
    what = body.get("what") or body.get("note")
    if what == "kernel_started":
        return f"kernel started, process {body.get('pid')} on {body.get('host')}"
    if what == "kernel_died":
        return f"the kernel died in step {entry.step}"
    if what == "orphaned":
        return f"recorded by an earlier version of the cell and not asked for by this one: {_operations(body.get('calls'))}"
    if what == "undeclared":
        return f"effects outside any call: {', '.join(map(str, body.get('effects') or ()))}"
    if what == "waking":
        return "it may go on; a worker is wanted"
    if what == "scheduler":
        return f"worked on by {body.get('launcher')}" + (f", run {body['run']}" if body.get("run") else "")
    return str(body.get("text") or what or "note")


def _operations(calls: Any) -> str:
    return ", ".join(str(c.get("operation")) for c in calls or () if isinstance(c, dict))


_TEXTS: dict[str, Callable[[Entry, dict[str, Any]], str]] = {
    Kind.EXECUTION_CREATED: _created,
    Kind.EXECUTION_STARTED: lambda e, b: f"worker {described(str(b.get('owner') or ''))}",
    Kind.EXECUTION_SUSPENDED: lambda e, b: f"suspended{_why(b)}",
    Kind.EXECUTION_PAUSED: lambda e, b: f"paused{_why(b)}",
    Kind.EXECUTION_RESUMED: lambda e, b: f"resumed (it was {b.get('from', 'waiting')})",
    Kind.EXECUTION_SUCCEEDED: lambda e, b: f"succeeded{_why(b)}",
    Kind.EXECUTION_FAILED: lambda e, b: f"failed{_why(b)}",
    Kind.EXECUTION_CANCELLED: lambda e, b: f"cancelled{_why(b)}",
    Kind.CHANGES_ACCEPTED: lambda e, b: f"the notebook's changes were accepted; edited: {', '.join(b.get('edited') or ()) or 'nothing'}",
    Kind.REQUESTED: lambda e, b: f"asked to {b.get('what')}{_why(b)}",
    Kind.STEP_STARTED: lambda e, b: f"step {e.step}: attempt {b.get('attempt')}",
    Kind.STEP_FAILED: _failed,
    Kind.STEP_SKIPPED: lambda e, b: f"step {e.step} skipped{_why(b)}",
    Kind.STEP_RESET: lambda e, b: f"step {e.step} is to run again{_why(b)}",
    Kind.CELL_COMPLETED: lambda e, b: f"step {e.step} {'succeeded' if b.get('last') else 'completed cell ' + str(e.key)}",
    Kind.CALL_INTENT: lambda e, b: f"{b.get('operation')} begins" + (f", attempt {b['attempt']}" if b.get("attempt", 1) > 1 else ""),
    Kind.CALL_OUTCOME: _outcome,
    Kind.CALL_VERDICT: lambda e, b: f"verdict {b.get('verdict')}{_why(b)}",
    Kind.PROMPT_OPENED: lambda e, b: f"asked: {b.get('text')}",
    Kind.PROMPT_VOTED: lambda e, b: f"voted {b.get('verdict')} via {b.get('via')}{_why(b)}",
    Kind.PROMPT_ANSWERED: lambda e, b: f"answered {b.get('verdict')} via {b.get('via')}{_why(b)}",
    Kind.PROMPT_EXPIRED: lambda e, b: "the question expired",
    Kind.PROMPT_WITHDRAWN: lambda e, b: f"the question was withdrawn{_why(b)}",
    Kind.TIMER_SET: lambda e, b: f"waits until {clock.iso(b['due_at'])}" if b.get("due_at") else "a timer was set",
    Kind.TIMER_FIRED: lambda e, b: "the time has come",
    Kind.SIGNAL_AWAITED: lambda e, b: f"waits for the signal {b.get('name')}",
    Kind.SIGNAL_RECEIVED: lambda e, b: f"signal {e.key} came via {b.get('via') or 'somebody'}",
    Kind.SIGNAL_TAKEN: lambda e, b: "the signal was taken" if b.get("seq") else "no signal came in time",
    Kind.CHILD_AWAITED: lambda e, b: f"waits for {b.get('runbook')}, execution {b.get('child')}",
    Kind.CHILD_ENDED: lambda e, b: f"execution {b.get('child')} has {b.get('status')}",
    Kind.HANDOVER_OFFERED: lambda e, b: f"offered to {', '.join(b.get('to') or ())}" + (f": {b['note']}" if b.get("note") else ""),
    Kind.HANDOVER_ACCEPTED: lambda e, b: f"taken over from {b.get('from')}{_why(b)}",
    Kind.HANDOVER_DECLINED: lambda e, b: f"the hand-over was declined{_why(b)}",
    Kind.HANDOVER_WITHDRAWN: lambda e, b: f"the offer was withdrawn{_why(b)}",
    Kind.PUBLISHED: lambda e, b: f"published {', '.join(b.get('values') or ())}",
    Kind.ITEM_COMPLETED: lambda e, b: f"{b.get('loop', 'item')}: {b.get('item', e.key)} {b.get('state', 'done')}",
    Kind.TARGETS_REREAD: lambda e, b: (
        f"{e.key} read again: {b.get('count')} left" + (f", gone: {', '.join(b['gone'])}" if b.get("gone") else "")
    ),
    Kind.EFFECT_SEEN: lambda e, b: f"{e.key} is now: {b.get('after')}",
    Kind.GLASS_BROKEN: lambda e, b: f"broke the glass ({', '.join(b.get('guardrails') or ())}) until {clock.iso(b['until'])}{_why(b)}",
    Kind.NOTE: _note,
}

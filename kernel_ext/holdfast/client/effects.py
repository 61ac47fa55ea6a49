"""The effects of an execution, told for people: each with its target, how that looked before and after, who made it and on whose word. One
telling for commands, pages, hand-over, report and evidence."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from holdfast.client.markdown import length
from holdfast.executions.history import CallHistory, History, StepHistory
from holdfast.foundation import clock
from holdfast.model.call import CallState, Effect, request_line
from holdfast.model.entry import Kind

_SHOWN = 120  # characters of how a target looked


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One effect. Times in seconds since the epoch."""

    step: str
    request: str  # what was asked, with its target
    effect: str  # write, idempotent
    state: str  # started, succeeded, failed, unknown; or what a person or probe said: happened, skip ...
    at: float | None
    took: float | None = None  # seconds
    attempts: int = 1
    error: str = ""
    word: str = ""  # whose word the state is, where it is a person's or a probe's
    target: str = ""  # what it was made to
    destructive: bool = False
    before: Any = None  # how the target looked, where somebody looked
    after: Any = None
    who: str = ""  # under whose name the execution worked
    why: str = ""
    approved_by: str = ""  # who consented, and why
    glass: tuple[str, ...] = ()  # guardrails that were set aside for it
    in_force: bool = False  # it was done, or may have been, and no step has undone it
    undo: tuple[str, ...] = ()  # teardown steps of the runbook that would


def deeds(history: History) -> list[Deed]:
    """The effects in the order in which they were begun; readings, clock and random are none."""
    undo: dict[str, list[StepHistory]] = {}
    for step in history.steps:
        if step.teardown_of is not None:
            undo.setdefault(step.teardown_of, []).append(step)
    own = {s.id for s in history.steps if s.teardown_of is not None}
    consents = {e.key: e.data for e in history.entries if e.kind == Kind.PROMPT_ANSWERED}
    found = []
    for call in history.calls:
        if call.effect not in (Effect.WRITE, Effect.IDEMPOTENT) or call.kind in ("clock", "random", "prompt", "timer", "signal"):
            continue
        teardowns = undo.get(call.step or "", [])
        undone = any(t.state == "succeeded" for t in teardowns)
        consent = consents.get(call.approval, {}) if call.approval else {}
        found.append(_deed(call, tuple(t.id for t in teardowns), consent, undone=undone or (call.step or "") in own))
    return found


def _deed(call: CallHistory, undo: tuple[str, ...], consent: dict[str, Any], *, undone: bool) -> Deed:
    verdict = call.verdict or {}
    said = str(verdict.get("verdict") or "") if call.state in (CallState.STARTED, CallState.UNKNOWN) or not call.state else ""
    word = " ".join(filter(None, [f"on the word of {verdict['who']}" if verdict.get("who") else "", _why(verdict)])) if verdict else ""
    error = call.error if isinstance(call.error, dict) else {}
    state = f"refused by the {call.refused}" if call.refused is not None else said or str(call.state)
    return Deed(
        step=call.step or "",
        request=request_line({"kind": call.kind, "operation": call.operation, "arguments": call.arguments}),
        effect=call.effect,
        state=state,
        at=call.started_at,
        took=call.ended_at - call.started_at if call.ended_at and call.started_at else None,
        attempts=call.attempts,
        error=str(error.get("what") or error.get("type") or "") if state == CallState.FAILED or call.refused is not None else "",
        target=call.target,
        destructive=call.destructive,
        before=call.before,
        after=call.after,
        who=call.who,
        why=call.why,
        approved_by=" ".join(filter(None, [str(consent.get("who") or ""), _why(consent)])),
        glass=tuple(call.glass),
        word=word,
        in_force=not undone and state in (CallState.SUCCEEDED, CallState.UNKNOWN, CallState.STARTED, "happened"),
        undo=() if undone else undo,
    )


def _why(body: dict[str, Any]) -> str:
    return f"({body['why']})" if body.get("why") else ""


# ---- for reading


def deed_line(deed: Deed) -> str:
    """An effect in one line."""
    undo = f"can be undone by: {', '.join(deed.undo)}" if deed.undo else ""
    at = clock.iso(deed.at) if deed.at else ""
    return " · ".join(filter(None, [deed.request, deed.state, deed.word, f"step {deed.step}", at, undo]))


def deeds_table(effects: list[Deed]) -> tuple[list[str], list[list[str]]]:
    """Head and rows."""
    rows = [
        [d.step, d.request, d.target if d.target not in d.request else "", f"{d.state} {d.word}".strip(), clock.iso(d.at) if d.at else "",
         length(d.took), str(d.attempts or ""), d.who, _on_whose_word(d), _looked(d.before), _looked(d.after), d.error]
        for d in effects
    ]  # fmt: skip
    return ["step", "effect", "target", "outcome", "begun", "took", "attempts", "by", "why", "before", "after", "error"], rows


def _on_whose_word(deed: Deed) -> str:
    """Why it was made: the author's reason, whoever consented, what was set aside."""
    consent = f"approved by {deed.approved_by}" if deed.approved_by else ""
    glass = f"glass broken: {', '.join(deed.glass)}" if deed.glass else ""
    return "; ".join(filter(None, [deed.why, consent, glass]))


def _looked(value: Any) -> str:
    """How a target looked, short enough for a table."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

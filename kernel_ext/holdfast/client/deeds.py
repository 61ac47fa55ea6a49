"""What an execution did to the outside and what became of its steps, told for people: the parts that a hand-over and a report share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from holdfast.executions.history import CallHistory, History, StepHistory
from holdfast.foundation import clock
from holdfast.model.call import CallState, Effect, request_line
from holdfast.model.entry import Kind
from holdfast.model.prompt import Prompt, PromptState, Vote
from holdfast.prompts import wording
from holdfast.prompts.sealing import masked


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


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One step and what came of it. Times in seconds since the epoch."""

    step: str
    state: str
    started_at: float | None
    took: float | None
    attempts: int
    effects: int
    result: str  # the error, or why it was left out


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One question, open or ended. Times in seconds since the epoch."""

    id: str
    step: str
    text: str
    target: str
    state: str
    opened_at: float
    due_at: float | None
    who_may: str
    then: str  # what no answer means
    command: str  # answers it
    answer: str = ""
    who: str = ""
    via: str = ""
    why: str = ""
    at: float | None = None
    votes: tuple[Vote, ...] = ()


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


def tried(history: History, effects: Sequence[Deed]) -> list[Tried]:
    """The steps that have begun or ended, in the runbook's order."""
    return [
        Tried(
            step=s.id,
            state=s.state,
            started_at=s.started_at,
            took=s.ended_at - s.started_at if s.ended_at and s.started_at and s.state != "skipped" else None,
            attempts=s.attempts,
            effects=sum(1 for d in effects if d.step == s.id),
            result=error_of(s) or s.reason or "",
        )
        for s in history.steps
        if s.state != "pending" or s.started_at is not None
    ]


def error_of(step: StepHistory) -> str:
    """Why a step failed, in one line."""
    error = step.error or {}
    what = str(error.get("what") or "")
    name = str(error.get("code") or error.get("type") or "")
    return what if not name or what.startswith(name) else f"{name}: {what}"


def asked(prompts: Iterable[Prompt]) -> list[Asked]:
    """Questions as people read them; secrets stay sealed."""
    return [_asked(p) for p in prompts]


def _asked(prompt: Prompt) -> Asked:
    question, ended = prompt.question, prompt.state != PromptState.OPEN
    target = question.target if question is not None else None
    count = question.count if question is not None else None
    value = "" if prompt.value is None else f" {masked(prompt.value)}"
    return Asked(
        id=prompt.id,
        step=prompt.step or "",
        text=prompt.text,
        target=(target or request_line(prompt.request)) + (f" ({count})" if count is not None else ""),
        state=str(prompt.state),
        opened_at=prompt.opened_at,
        due_at=None if ended else prompt.due_at,
        who_may=wording.who(prompt),
        then=wording.stand_in(prompt) if prompt.due_at is not None and not ended else "",
        command="" if ended else wording.how_to_answer(prompt),
        answer=f"{prompt.answer or ''}{value}".strip(),
        who=prompt.answered_by or "",
        via=prompt.via or "",
        why=prompt.why or "",
        at=prompt.answered_at,
        votes=prompt.votes,
    )


def document(found: Any) -> Any:
    """Nouns as JSON types; their times as RFC 3339 text."""
    return _timed(msgspec.to_builtins(found))


def _timed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: clock.iso(v) if _is_time(k) and isinstance(v, int | float) else _timed(v) for k, v in value.items()}
    return [_timed(item) for item in value] if isinstance(value, list | tuple) else value


def _is_time(name: str) -> bool:
    return name == "at" or name.endswith("_at")

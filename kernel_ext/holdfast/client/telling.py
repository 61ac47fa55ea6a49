"""What hand-over and report share: whose an execution is and how it stands, what became of its steps, what people were asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from holdfast.client.effects import Deed
from holdfast.executions.handover import in_charge
from holdfast.executions.history import History, StepHistory
from holdfast.foundation import clock
from holdfast.model.call import request_line
from holdfast.model.execution import Execution
from holdfast.model.handover import Handover
from holdfast.model.prompt import Prompt, PromptState, Vote
from holdfast.prompts import wording
from holdfast.prompts.sealing import masked


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Which execution it is, whose, and how it stands. Nothing in it is secret to everybody; times in seconds since the epoch."""

    execution: str
    runbook: str
    title: str
    owner: str  # who answers for it
    status: str
    reason: str
    started_by: str
    started_at: float
    made_at: float  # when this was gathered
    parameters: dict[str, Any]
    parent: str | None

    @classmethod
    def of(cls, header: Execution, history: History, given: Sequence[Handover]) -> Head:
        """From the journal.

        Args:
            given: the execution's hand-overs.
        """
        return Head(
            execution=header.id,
            runbook=header.runbook,
            title=history.manifest.title if history.manifest and history.manifest.title else header.runbook,
            owner=in_charge(header, given),
            status=str(header.status),
            reason=header.reason,
            started_by=header.started_by,
            started_at=header.created_at,
            made_at=clock.now(),
            parameters=header.shown_parameters,
            parent=header.parent,
        )


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

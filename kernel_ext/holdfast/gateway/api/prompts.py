"""Prompts: look, answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from holdfast.gateway import asking
from holdfast.gateway.asker import Asking
from holdfast.gateway.problems import responses
from holdfast.gateway.schemas import Answer, Shown, when
from holdfast.gateway.texts import ID_PATTERN, Limit, PromptId, Text
from holdfast.model.prompt import Prompt, PromptState, Question
from holdfast.prompts.allowed import who_may

router = APIRouter(tags=["prompts"])


class VoteShown(Shown):
    """One person's word on an approval."""

    who: str
    verdict: str
    at: datetime | None
    via: str
    why: str | None


class PromptShown(Shown):
    """A question to a person."""

    id: str
    execution: str
    runbook: str
    step: str | None
    kind: str
    text: str
    request: dict[str, Any] = Field(description="The call it is about, as made: the evidence.")
    verdicts: list[str]
    state: str
    opened_at: datetime | None
    due_at: datetime | None
    answer: str | None
    value: Any
    answered_by: str | None
    answered_at: datetime | None
    via: str | None
    why: str | None
    target: str | None
    count: int | None
    command: str | None
    value_schema: dict[str, Any] | None = Field(description="What a value must fit.")
    options: list[Any]
    who_may_answer: list[str]
    at_least: int
    votes: list[VoteShown]
    why_needed: bool
    typed_needed: str | None
    may_answer: bool
    may_not_because: str | None

    @classmethod
    def of(cls, found: asking.Shown) -> PromptShown:
        """As the person may see it."""
        prompt, question = found.prompt, found.prompt.question or Question()
        plain = {
            n: getattr(prompt, n) for n in ("id", "execution", "step", "text", "request", "answer", "value", "answered_by", "via", "why")
        }
        return cls(
            **plain, runbook=found.execution.runbook, kind=str(prompt.kind), verdicts=list(prompt.verdicts), state=str(prompt.state),
            opened_at=when(prompt.opened_at), due_at=when(prompt.due_at), answered_at=when(prompt.answered_at), target=question.target,
            count=question.count, command=question.command, value_schema=question.schema, options=list(question.options),
            who_may_answer=list(who_may(prompt)), at_least=question.at_least, votes=_votes(prompt), why_needed=question.why,
            typed_needed=question.typed, may_answer=prompt.state == PromptState.OPEN and found.refusal is None,
            may_not_because=found.refusal,
        )  # fmt: skip


class Prompts(Shown):
    """A page of prompts, the oldest first."""

    items: list[PromptShown]
    total: int


def _votes(prompt: Prompt) -> list[VoteShown]:
    return [VoteShown(who=v.who, verdict=v.verdict, at=when(v.at), via=v.via, why=v.why) for v in prompt.votes]


@router.get("/prompts", responses=responses(404))
def list_prompts(
    asker: Asking,
    state: PromptState = PromptState.OPEN,
    execution: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="Only this execution's; needed for any state but `open`.")
    ] = None,
    runbook: Annotated[Text | None, Query(max_length=200)] = None,
    text: Annotated[Text, Query(max_length=200, description="Only open ones whose question, target, step or runbook has it.")] = "",
    mine: Annotated[bool, Query(description="Only open ones that you may answer.")] = False,
    limit: Limit = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Prompts:
    """Open questions of all executions, or those of one execution in any state."""
    if execution is not None:
        header = asker.execution(execution)
        found = asking.prompts_of(asker, header, state) if runbook in (None, header.runbook) else []
        return Prompts(items=[PromptShown.of(s) for s in found[offset : offset + limit]], total=len(found))
    if state != PromptState.OPEN:
        return Prompts(items=[], total=0)
    page = asking.open_prompts(asker, runbook=runbook, text=text, mine=mine, offset=offset, limit=limit)
    return Prompts(items=[PromptShown.of(s) for s in page.found], total=page.total)


@router.get("/prompts/{id}", responses=responses(404))
def get_prompt(asker: Asking, id: PromptId) -> PromptShown:
    """One question."""
    return PromptShown.of(asking.prompt(asker, id))


@router.post("/prompts/{id}/answer", responses=responses(404, 409))
def answer(asker: Asking, id: PromptId, asked: Answer) -> PromptShown:
    """Answer it; the first answer stands, a later one is a conflict that says by whom and when it was answered."""
    return PromptShown.of(asking.answer(asker, id, asked.verdict, value=asked.value, why=asked.why, typed=asked.typed))

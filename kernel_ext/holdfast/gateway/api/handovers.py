"""Hand-overs and reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from holdfast.client.brief import markdown as brief_markdown
from holdfast.client.report import markdown as report_markdown
from holdfast.client.telling import document
from holdfast.executions.handover import How
from holdfast.gateway import handing
from holdfast.gateway.asker import Asking
from holdfast.gateway.problems import responses
from holdfast.gateway.schemas import Asked, Reason, Shown, when
from holdfast.gateway.texts import ExecutionId, Text, Why
from holdfast.model.handover import Handover

router = APIRouter(tags=["hand-overs"])
_MARKDOWN = "text/markdown; charset=utf-8"
Format = Literal["json", "markdown"]


class HandoverShown(Shown):
    """An offer of an execution, and what came of it."""

    execution: str
    number: int
    giver: str
    offered_by: str
    to: list[str]
    note: str
    offered_at: datetime | None
    state: str
    ended_by: str | None
    ended_at: datetime | None
    via: str | None
    why: str | None

    @classmethod
    def of(cls, one: Handover) -> HandoverShown:
        """From the noun."""
        return cls(
            execution=one.execution, number=one.number, giver=one.giver, offered_by=one.offered_by, to=list(one.to), note=one.note,
            offered_at=when(one.offered_at), state=str(one.state), ended_by=one.ended_by, ended_at=when(one.ended_at), via=one.via,
            why=one.why,
        )  # fmt: skip


class Offer(Asked):
    """Offer an execution to somebody."""

    to: list[Annotated[Text, Field(min_length=1, max_length=200)]] = Field(
        min_length=1, max_length=50, description="People, `group:NAME`, or `everyone`."
    )
    note: Why = Field("", description="What the receiver should know beside what is recorded.")


@router.get("/handovers", responses=responses())
def list_offers(asker: Asking) -> list[HandoverShown]:
    """The open offers, the oldest first."""
    return [HandoverShown.of(one) for one, _ in handing.offers(asker)]


@router.get("/executions/{id}/handover", responses=responses(404, also=_MARKDOWN), response_model=dict[str, Any])
def get_brief(asker: Asking, id: ExecutionId, format: Format = "json") -> Any:
    """What somebody who takes it over must know: owner, state, steps and effects with their results, open questions and waits, effects in
    force, what to do next, and its hand-overs."""
    found = handing.brief(asker, asker.execution(id))
    return Response(brief_markdown(found), media_type=_MARKDOWN) if format == "markdown" else document(found)


@router.post("/executions/{id}/handover", status_code=201, responses=responses(404, 409))
def offer(asker: Asking, id: ExecutionId, asked: Offer) -> HandoverShown:
    """Offer it to people or groups; an offer that is open is replaced."""
    return HandoverShown.of(handing.offer(asker, asker.execution(id), asked.to, asked.note))


@router.post("/executions/{id}/handover/{how}", responses=responses(404, 409))
def end(asker: Asking, id: ExecutionId, how: How, asked: Reason | None = None) -> HandoverShown:
    """Take over what is offered, say no to it, or take the offer back. The first end stands; a later one is a conflict."""
    return HandoverShown.of(handing.end(asker, asker.execution(id), how, asked.why if asked else ""))


@router.get("/executions/{id}/report", responses=responses(404, also=_MARKDOWN), response_model=dict[str, Any])
def get_report(asker: Asking, id: ExecutionId, format: Format = "json") -> Any:
    """The report after the incident: who started it, who decided what, when and why, effects, failures, resumes, durations, timeline."""
    found = handing.report(asker, asker.execution(id))
    return Response(report_markdown(found), media_type=_MARKDOWN) if format == "markdown" else document(found)

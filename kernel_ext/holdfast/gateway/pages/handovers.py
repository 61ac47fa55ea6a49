"""Handing an execution over, and the report on one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from holdfast.client.report import moment_line
from holdfast.errors import HoldfastError, OperatorError, PromptError
from holdfast.executions.handover import How
from holdfast.gateway import handing, problems
from holdfast.gateway.asker import Asker, Asking
from holdfast.gateway.pages.drawing import page
from holdfast.gateway.pages.prompts import Filled, first
from holdfast.gateway.texts import ExecutionId
from holdfast.model.execution import Execution, Status
from holdfast.model.handover import Handover

router = APIRouter()
_LONGEST = 2000


@router.get("/executions/{id}/handover")
def look(request: Request, asker: Asking, id: ExecutionId) -> Response:
    """What somebody who takes it over must know, and the hand-over itself."""
    return _show(request, asker, asker.execution(id))


@router.post("/executions/{id}/handover")
async def offer(request: Request, asker: Asking, id: ExecutionId, filled: Filled) -> Response:
    """Offer it."""
    return await run_in_threadpool(_offer, request, asker, id, first(filled, "to"), first(filled, "note"))


@router.post("/executions/{id}/handover/{how}")
async def end(request: Request, asker: Asking, id: ExecutionId, how: How, filled: Filled) -> Response:
    """Take it over, say no, or take the offer back."""
    return await run_in_threadpool(_end, request, asker, id, how, first(filled, "why"))


def _offer(request: Request, asker: Asker, id: str, to: str, note: str) -> Response:
    header = asker.execution(id)
    try:
        names = [name for name in to.split(",") if name.strip()]
        made = handing.offer(asker, header, names, note[:_LONGEST])
    except (PromptError, OperatorError) as error:
        return _show(request, asker, header, problem=error, typed={"to": to, "note": note})
    return _show(request, asker, header, done=made)


def _end(request: Request, asker: Asker, id: str, how: How, why: str) -> Response:
    header = asker.execution(id)
    try:
        done = handing.end(asker, header, how, why[:_LONGEST])
    except (PromptError, OperatorError) as error:
        return _show(request, asker, header, problem=error)
    return _show(request, asker, asker.execution(id), done=done)


def _show(
    request: Request,
    asker: Asker,
    header: Execution,
    *,
    problem: HoldfastError | None = None,
    done: Handover | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    found = handing.brief(asker, header)
    offered = found.offered
    me, may = asker.person.name, asker.may("handover", header.runbook)
    live = header.status not in (Status.SUCCEEDED, Status.CANCELLED)
    said: dict[str, Any] = {
        "may_offer": may and live,
        "may_take": offered is not None and live and handing.may_take(asker, header, offered),
        "may_withdraw": offered is not None and may and me in (offered.giver, offered.offered_by),
    }
    return page(
        request, "handover.html", asker, status=problems.status_of(problem) if problem else 200, header=header, found=found,
        offered=offered, problem=problem, done=done, typed=typed or {"to": "", "note": ""}, **said,
    )  # fmt: skip


@router.get("/executions/{id}/report")
def report(request: Request, asker: Asking, id: ExecutionId) -> Response:
    """The report after the incident."""
    header = asker.execution(id)
    return page(request, "report.html", asker, header=header, found=handing.report(asker, header), moment_line=moment_line)

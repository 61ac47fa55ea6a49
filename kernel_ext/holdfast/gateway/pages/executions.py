"""Executions: the list, one with its steps, outputs and history, and what may be done to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from holdfast.client.effects import deeds
from holdfast.client.planning import plan_lines
from holdfast.errors import HoldfastError, OperatorError
from holdfast.executions.family import children
from holdfast.executions.handover import handovers, in_charge
from holdfast.executions.live import live
from holdfast.executions.timeline import timeline
from holdfast.executions.waking import runs_of
from holdfast.gateway import asking, problems
from holdfast.gateway.api.executions import visible
from holdfast.gateway.asker import Asker, Asking
from holdfast.gateway.outputs import SANDBOXED, notebook_of, page_of
from holdfast.gateway.pages.drawing import go, page
from holdfast.gateway.pages.prompts import Filled, first
from holdfast.gateway.planning import plan_again, roll_back, undoings
from holdfast.gateway.starting import rerun
from holdfast.gateway.statistics import statistics
from holdfast.gateway.texts import After, ExecutionId, Text
from holdfast.journal.ownership import unattended
from holdfast.model.execution import Execution, Mode, Status
from holdfast.model.handover import HandoverState

router = APIRouter()
_PAGE = 50


@router.get("/executions")
def executions(
    request: Request,
    asker: Asking,
    status: Annotated[Status | Literal[""], Query()] = "",
    runbook: Annotated[Text, Query(max_length=200)] = "",
    after: After = None,
) -> Response:
    """The newest first."""
    statuses = [Status(status)] if status else None
    found, following = visible(asker, statuses=statuses, runbook=runbook or None, limit=_PAGE, after=after)
    last = asker.hall.store.streams.newest_change()
    return page(
        request,
        "executions.html",
        asker,
        found=found,
        following=following,
        wanted=status,
        runbook=runbook,
        statuses=list(Status),
        last=last,
    )


@router.get("/executions/{id}")
def execution(request: Request, asker: Asking, id: ExecutionId) -> Response:
    """One execution."""
    return _show(request, asker, asker.execution(id))


def _show(
    request: Request, asker: Asker, header: Execution, *, problem: HoldfastError | None = None, plan: dict[str, Any] | None = None
) -> Response:
    history = asker.client.history(header.id)
    veil = asker.veil(header)
    steps = [(s, veil(s.error), veil(s.reason or "")) for s in history.steps if s.teardown_of is None or s.state != "pending"]
    changes = [(d, veil({"request": d.request, "error": d.error, "before": d.before, "after": d.after})) for d in deeds(history)]
    moments = [(m, veil(m.text)) for m in timeline(history.entries, calls=True)]
    after = {s.name: s.after for s in history.manifest.steps} if history.manifest else {}
    order = [s.name for s in history.manifest.steps] if history.manifest else []
    unusual = {n: a for n, a in after.items() if a != ((order[order.index(n) - 1],) if order.index(n) else ())}
    given = handovers(asker.hall.store, header.id)
    alone = unattended(header, asker.hall.store.now(), asker.hall.store.step_leases(header.id))
    return page(
        request, "execution.html", asker, status=problems.status_of(problem) if problem else 200, header=header,
        title=history.manifest.title if history.manifest and history.manifest.title else header.runbook,
        parameters=veil(header.parameters), reason=veil(header.reason), steps=steps, changes=changes, moments=moments, after=unusual,
        prompts=asking.prompts_of(asker, header), last=history.entries[-1].seq if history.entries else 0,
        may=_may(asker, header, alone), live=not header.status.ended or header.owner is not None, problem=problem,
        shown=[(one.step, one.cell, veil(one.text), one.cut) for one in live(asker.hall.store, header.id)],
        above=_family(asker, [header.parent] if header.parent else []),
        below=[h for h in children(asker.hall.store, header.id) if asker.may("see", h.runbook)],
        undoings=[(u, [(d, veil(d.request)) for d in u.undoes]) for u in undoings(history)],
        who_may_undo=asker.policy.who_may("rollback", header.runbook),
        owner=in_charge(header, given), offered=next((h for h in given if h.state == HandoverState.OFFERED), None),
        lost=header.status == Status.RUNNING and alone and header.mode == Mode.BATCH, runs=_runs(asker, header),
        plan=plan, plan_lines=plan_lines,
    )  # fmt: skip


def _runs(asker: Asker, header: Execution) -> list[tuple[str, str | None]]:
    """Dagster's runs that worked on it, the latest first, and where their pages are if that is known."""
    at = asker.hall.config.dagster_url
    return [(id, f"{at}/runs/{quote(id, safe='')}" if at else None) for id in runs_of(asker.hall.store, header.id, "dagster")]


def _family(asker: Asker, ids: list[str]) -> list[Execution]:
    """Those of ``ids`` that they may see."""
    found = [asker.hall.store.header(id) for id in ids]
    return [h for h in found if h is not None and asker.may("see", h.runbook)]


def _may(asker: Asker, header: Execution, alone: bool) -> dict[str, bool]:
    """What the page offers."""
    batch = header.mode == Mode.BATCH
    fits = {
        "pause": header.status in (Status.QUEUED, Status.RUNNING, Status.SUSPENDED),
        "resume": batch and alone and header.status not in (Status.SUCCEEDED, Status.CANCELLED),
        "cancel": header.status not in (Status.SUCCEEDED, Status.CANCELLED),
        "rerun": batch and alone,
        "rollback": batch and alone,
    }
    return {action: fit and asker.may(action, header.runbook) for action, fit in fits.items()} | {
        "plan": batch and asker.may("start", header.runbook)
    }


@router.get("/executions/{id}/outputs")
def outputs(asker: Asking, id: ExecutionId) -> Response:
    """What it printed, for a frame without rights."""
    header = asker.execution(id)
    return HTMLResponse(page_of(notebook_of(asker, header)), headers={"Content-Security-Policy": SANDBOXED})


@router.post("/executions/{id}/plan")
def plan(request: Request, asker: Asking, id: ExecutionId) -> Response:
    """A dry run of what it was started with."""
    header = asker.execution(id)
    try:
        return _show(request, asker, header, plan=plan_again(asker, header))
    except OperatorError as error:
        return _show(request, asker, header, problem=error)


@router.post("/executions/{id}/{action}")
async def steer(
    request: Request, asker: Asking, id: ExecutionId, action: Literal["pause", "resume", "cancel", "rerun", "rollback"], filled: Filled
) -> Response:
    """Pause, resume, cancel, run again from a step, or undo."""
    return await run_in_threadpool(_steer, request, asker, id, action, filled)


def _steer(request: Request, asker: Asker, id: str, action: str, filled: dict[str, list[str]]) -> Response:
    header, why = asker.execution(id), first(filled, "why")[:2000]
    try:
        if action == "rerun":
            return go(request, f"executions/{rerun(asker, header, first(filled, 'step')).id}")
        if action == "rollback":
            roll_back(asker, header, _chosen(header, filled), why)
            return go(request, f"executions/{header.id}")
        with asker.acting(action, header.id, header.runbook):
            if action == "pause":
                asker.client.pause(header.id, why=why)
            elif action == "cancel":
                asker.client.cancel(header.id, why=why, finish=bool(first(filled, "finish")))
            else:
                asker.hall.workers.go_on(header, asker.person, why)
    except OperatorError as error:
        return _show(request, asker, asker.client.get(header.id), problem=error)
    return go(request, f"executions/{header.id}")


def _chosen(header: Execution, filled: dict[str, list[str]]) -> list[str]:
    """The teardown steps whose boxes are ticked; none is not all."""
    if not (names := filled.get("steps", [])):
        raise OperatorError("HF253", "no teardown step was chosen", cure="Tick what is to be undone.", execution=header.id)
    return names


@router.get("/statistics")
def numbers(request: Request, asker: Asking) -> Response:
    """How it went."""
    return page(request, "statistics.html", asker, found=statistics(asker))

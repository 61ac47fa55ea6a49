"""Executions: start, look, steer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse

from holdfast.client.effects import deeds
from holdfast.errors import OperatorError
from holdfast.executions.timeline import timeline
from holdfast.gateway.asker import Asker, Asking
from holdfast.gateway.foreseen import PlanShown, Rollback, RollbackShown, UndoingShown
from holdfast.gateway.outputs import SANDBOXED, notebook_of, page_of
from holdfast.gateway.planning import plan_again, roll_back, undoings
from holdfast.gateway.problems import responses
from holdfast.gateway.schemas import (
    BreakGlass,
    CallShown,
    Cancel,
    EffectShown,
    Executions,
    ExecutionShown,
    GlassShown,
    Graph,
    GraphEdge,
    GraphNode,
    MomentShown,
    Reason,
    Rerun,
    Start,
    StepShown,
    when,
)
from holdfast.gateway.starting import rerun as run_again
from holdfast.gateway.starting import start as start_runbook
from holdfast.gateway.texts import After, ExecutionId, Limit, Text
from holdfast.model.execution import Execution, Status
from holdfast.notebook.graph import mermaid

_MERMAID = "text/vnd.mermaid"
router = APIRouter(tags=["executions"])
_PAGE = 200

IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", description="The same key gives the same execution.")
]


def shown(asker: Asker, header: Execution) -> ExecutionShown:
    """A header as they may see it."""
    found = ExecutionShown.of(header)
    found.parameters = asker.veil(header)(found.parameters)
    return found


def visible(
    asker: Asker, *, statuses: list[Status] | None, runbook: str | None, limit: int, after: str | None
) -> tuple[list[Execution], str | None]:
    """Headers that they may see, the newest first, and where the next page begins."""
    found: list[Execution] = []
    while True:
        page = asker.hall.store.headers(statuses=statuses, runbook=runbook, limit=_PAGE, after=after)
        for header in page:
            if asker.may("see", header.runbook):
                if len(found) == limit:
                    return found, found[-1].id
                found.append(header)
        if len(page) < _PAGE:
            return found, None
        after = page[-1].id


@router.get("/executions", responses=responses())
def list_executions(
    asker: Asking,
    status: Annotated[list[Status], Query(description="Only these.")] = [],  # noqa: B006  (FastAPI copies it)
    runbook: Annotated[Text | None, Query(max_length=200)] = None,
    limit: Limit = 50,
    after: After = None,
) -> Executions:
    """Executions, the newest first."""
    found, following = visible(asker, statuses=status or None, runbook=runbook, limit=limit, after=after)
    return Executions(items=[shown(asker, h) for h in found], next=following)


@router.post(
    "/executions", status_code=201, responses={200: {"model": ExecutionShown, "description": "started before"}, **responses(404, 409)}
)
def start(asker: Asking, asked: Start, response: Response, idempotency_key: IdempotencyKey = None) -> ExecutionShown:
    """Start a runbook. With an `Idempotency-Key`, however often it is asked for, it is started once."""
    header, new = start_runbook(asker, asked.runbook, asked.parameters, id=asked.id, key=idempotency_key)
    response.status_code = 201 if new else 200
    return shown(asker, header)


@router.get("/executions/{id}", responses=responses(404))
def get_execution(asker: Asking, id: ExecutionId) -> ExecutionShown:
    """One execution."""
    return shown(asker, asker.execution(id))


@router.get("/executions/{id}/steps", responses=responses(404))
def steps(asker: Asking, id: ExecutionId) -> list[StepShown]:
    """Its steps, in order."""
    header = asker.execution(id)
    veil = asker.veil(header)
    return [StepShown(**veil(StepShown.of(s).model_dump())) for s in asker.client.history(header.id).steps]


@router.get("/executions/{id}/calls", responses=responses(404))
def calls(asker: Asking, id: ExecutionId, step: Annotated[Text | None, Query(max_length=200)] = None) -> list[CallShown]:
    """What it asked of the outside, and what came of it; clock and random are left out."""
    header = asker.execution(id)
    veil = asker.veil(header)
    found = [c for c in asker.client.calls(header.id) if c.kind not in ("clock", "random") and step in (None, c.step)]
    return [CallShown(**veil(CallShown.of(c).model_dump())) for c in found]


@router.get("/executions/{id}/effects", responses=responses(404))
def effects(asker: Asking, id: ExecutionId) -> list[EffectShown]:
    """What it changed: the target of each change, how it looked before and after, on whose word; and what guardrails refused."""
    header = asker.execution(id)
    veil = asker.veil(header)
    return [EffectShown(**veil(EffectShown.of(d).model_dump())) for d in deeds(asker.client.history(header.id))]


@router.get("/executions/{id}/timeline", responses=responses(404))
def moments(
    asker: Asking, id: ExecutionId, after: Annotated[int, Query(ge=0, le=2**31)] = 0, limit: Limit = 500, with_calls: bool = True
) -> list[MomentShown]:
    """Its journal, told for people."""
    header = asker.execution(id)
    veil = asker.veil(header)
    found = timeline(asker.client.entries(header.id, after=after, limit=limit), calls=with_calls)
    return [MomentShown(**veil(MomentShown.of(m).model_dump())) for m in found]


@router.get("/executions/{id}/graph", response_model=Graph, responses=responses(404, 409, also=_MERMAID))
def graph(asker: Asking, id: ExecutionId, format: Literal["json", "mermaid"] = "json") -> Any:
    """Its steps and their order; `mermaid` gives the text only."""
    header = asker.execution(id)
    found = asker.client.history(header.id)
    if found.manifest is None:
        raise OperatorError("HF253", "this execution has no notebook", cure="It was typed cell by cell.", execution=header.id)
    drawn = mermaid(found.manifest)
    if format == "mermaid":
        return Response(drawn, media_type=_MERMAID)
    return Graph(
        nodes=[GraphNode(id=s.id, state=s.state) for s in found.steps],
        edges=[GraphEdge(before=b, after=s.name) for s in found.manifest.steps for b in s.after],
        mermaid=drawn,
    )


@router.get("/executions/{id}/outputs", responses=responses(404), response_class=Response)
def outputs(asker: Asking, id: ExecutionId, format: Literal["ipynb", "html"] = "ipynb") -> Response:
    """The notebook with the outputs that the journal has: as a notebook, or as a page to look at (in a sandbox)."""
    header = asker.execution(id)
    notebook = notebook_of(asker, header)
    if format == "html":
        return HTMLResponse(page_of(notebook), headers={"Content-Security-Policy": SANDBOXED})
    name = f"{header.runbook}-{header.id}.ipynb".encode("ascii", "replace").decode().replace('"', "_")
    return JSONResponse(notebook, media_type="application/x-ipynb+json", headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.post("/executions/{id}/pause", responses=responses(404, 409))
def pause(asker: Asking, id: ExecutionId, asked: Reason | None = None) -> ExecutionShown:
    """Hold it before its next cell."""
    header = asker.execution(id)
    with asker.acting("pause", header.id, header.runbook):
        return shown(asker, asker.client.pause(header.id, why=asked.why if asked else ""))


@router.post("/executions/{id}/resume", status_code=202, responses=responses(404, 409))
def resume(asker: Asking, id: ExecutionId, asked: Reason | None = None) -> ExecutionShown:
    """Continue it where it stands; a worker takes it up."""
    header = asker.execution(id)
    with asker.acting("resume", header.id, header.runbook):
        asker.hall.workers.go_on(header, asker.person, asked.why if asked else "")
    return shown(asker, asker.client.get(header.id))


@router.post("/executions/{id}/cancel", responses=responses(404, 409))
def cancel(asker: Asking, id: ExecutionId, asked: Cancel | None = None) -> ExecutionShown:
    """End it, and what it has started: at once, or when the steps that run have come to their end (`finish`)."""
    header = asker.execution(id)
    with asker.acting("cancel", header.id, header.runbook):
        return shown(asker, asker.client.cancel(header.id, why=asked.why if asked else "", finish=asked.finish if asked else False))


@router.post("/executions/{id}/break-glass", status_code=201, responses=responses(404, 409))
def break_glass(asker: Asking, id: ExecutionId, asked: BreakGlass) -> GlassShown:
    """Set guardrails aside for it for a while, with a reason."""
    header = asker.execution(id)
    with asker.acting("break-glass", header.id, header.runbook):
        glass = asker.client.break_glass(header.id, why=asked.why, guardrails=asked.guardrails, seconds=asked.seconds, via=asker.via)
    return GlassShown(execution=header.id, guardrails=list(glass.guardrails), until=when(glass.until), who=glass.who, why=glass.why)


@router.post("/executions/{id}/plan", responses=responses(404, 409))
def plan(asker: Asking, id: ExecutionId) -> PlanShown:
    """A dry run of its notebook with its parameters: what a new start would change now, and which guardrails would refuse it. What only
    reads is run; nothing is changed."""
    return PlanShown(**plan_again(asker, asker.execution(id)))


@router.get("/executions/{id}/rollback", responses=responses(404))
def rollback_offered(asker: Asking, id: ExecutionId) -> RollbackShown:
    """What its teardown steps would undo after its failure, and who may ask for it."""
    header = asker.execution(id)
    veil = asker.veil(header)
    steps = [
        UndoingShown(step=u.step, teardown_of=u.teardown_of, undoes=[EffectShown(**veil(EffectShown.of(d).model_dump())) for d in u.undoes])
        for u in undoings(asker.client.history(header.id))
    ]
    who = asker.policy.who_may("rollback", header.runbook)
    return RollbackShown(steps=steps, may=asker.may("rollback", header.runbook), who_may=list(who))


@router.post("/executions/{id}/rollback", status_code=202, responses=responses(404, 409))
def rollback(asker: Asking, id: ExecutionId, asked: Rollback | None = None) -> ExecutionShown:
    """Undo it by its teardown steps, the last step's first; a worker runs them. It stays failed, and says by what it was undone."""
    header = asker.execution(id)
    roll_back(asker, header, asked.steps if asked else (), asked.why if asked else "")
    return shown(asker, asker.client.get(header.id))


@router.post("/executions/{id}/rerun", status_code=201, responses=responses(404, 409))
def rerun(asker: Asking, id: ExecutionId, asked: Rerun) -> ExecutionShown:
    """Run it again from a step on, as a new execution; what came before is taken over."""
    return shown(asker, run_again(asker, asker.execution(id), asked.step))

"""Signals: named messages to a running execution."""

from __future__ import annotations

from fastapi import APIRouter

from holdfast.errors import OperatorError
from holdfast.foundation import clock
from holdfast.gateway.api.executions import shown
from holdfast.gateway.asker import Asking
from holdfast.gateway.problems import responses
from holdfast.gateway.schemas import ExecutionShown, SignalSent
from holdfast.gateway.texts import ExecutionId, Name
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Status

router = APIRouter(tags=["signals"])


@router.post("/executions/{id}/signals/{name}", status_code=202, responses=responses(404, 409))
def send(asker: Asking, id: ExecutionId, name: Name, asked: SignalSent | None = None) -> ExecutionShown:
    """Send a signal; an execution that waits for it goes on."""
    header = asker.execution(id)
    with asker.acting("signal", header.id, header.runbook):
        if header.status in (Status.SUCCEEDED, Status.CANCELLED):
            raise OperatorError("HF253", f"the execution has {header.status}", cure="Nobody is left to hear it.", execution=header.id)
        body = {"value": asked.value if asked else None, "who": asker.person.name, "via": asker.via}
        draft = Draft(kind=Kind.SIGNAL_RECEIVED, key=name, body=body, actor=asker.person.name)
        asker.hall.store.append(header.id, (draft,), fence=None, change=Change(due_at=clock.now()))
        asker.hall.workers.expect(header.id, asker.person.name)
    return shown(asker, asker.client.get(header.id))

"""Signals: named messages to a running execution."""

from __future__ import annotations

from fastapi import APIRouter

from holdfast.gateway.api.executions import IdempotencyKey, shown
from holdfast.gateway.asker import Asking
from holdfast.gateway.problems import responses
from holdfast.gateway.schemas import ExecutionShown, SignalSent
from holdfast.gateway.texts import ExecutionId, Name

router = APIRouter(tags=["signals"])


@router.post("/executions/{id}/signals/{name}", status_code=202, responses=responses(404, 409))
def send(
    asker: Asking, id: ExecutionId, name: Name, asked: SignalSent | None = None, idempotency_key: IdempotencyKey = None
) -> ExecutionShown:
    """Send a signal; an execution that waits for it goes on."""
    header = asker.execution(id)
    with asker.acting("signal", header.id, header.runbook):
        asker.client.signal(header.id, name, asked.value if asked else None, key=idempotency_key, via=asker.via)
        asker.hall.workers.expect(header)
    return shown(asker, asker.client.get(header.id))

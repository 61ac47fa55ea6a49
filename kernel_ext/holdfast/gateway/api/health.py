"""Is it alive, is it ready, how is it doing: for probes and Prometheus, without signing in."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from holdfast.gateway.asker import hall_of
from holdfast.gateway.problems import responses

router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=PlainTextResponse)
def healthz() -> str:
    """The process answers."""
    return "ok\n"


@router.get("/readyz", response_class=PlainTextResponse, responses=responses())
def readyz(request: Request) -> str:
    """The journal can be read and the policy can be used."""
    hall = hall_of(request)
    hall.store.headers(limit=1)
    hall.policy  # noqa: B018  (raises when it cannot be used)
    return "ready\n"


@router.get("/metrics", response_class=Response, responses=responses())
def metrics(request: Request) -> Response:
    """For Prometheus; names of runbooks, people and executions are not in it."""
    return Response(request.app.state.metrics.text(hall_of(request)), media_type=CONTENT_TYPE_LATEST)

"""What Prometheus reads: requests at the gateway, executions and open prompts in the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from holdfast.foundation import clock
from holdfast.gateway.hall import Hall
from holdfast.model.execution import Status

_UNDER_WAY: Final = (Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.PAUSED)


class Metrics:
    """The numbers of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("holdfast_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry)
        self._seconds = Histogram("holdfast_request_seconds", "Time until an answer began.", ["route"], registry=self._registry)
        self._executions = Gauge("holdfast_executions", "Executions that have not ended.", ["status"], registry=self._registry)
        self._prompts = Gauge("holdfast_open_prompts", "Questions that wait for a person.", registry=self._registry)
        self._oldest = Gauge("holdfast_oldest_open_prompt_seconds", "How long the oldest of them has waited.", registry=self._registry)
        self._due = Gauge(
            "holdfast_due_executions", "Suspended executions that could go on and wait for a worker.", registry=self._registry
        )
        self.listeners = Gauge("holdfast_listeners", "Open streams of live progress.", registry=self._registry)

    async def count(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """The middleware that counts."""
        begun = clock.monotonic()
        status = 500
        try:
            response = await call_next(request)
            status = response.status_code
            return response
        finally:
            route = getattr(request.scope.get("route"), "path", "none")
            self._requests.labels(request.method if request.method in _METHODS else "other", route, str(status)).inc()
            self._seconds.labels(route).observe(clock.monotonic() - begun)

    def text(self, hall: Hall) -> bytes:
        """All of it, the journal's numbers read now.

        Raises:
            StoreError.
        """
        now = hall.store.now()
        for status in _UNDER_WAY:
            self._executions.labels(str(status)).set(len(hall.store.headers(statuses=(status,))))
        self._due.set(len(hall.store.headers(statuses=(Status.SUSPENDED,), due_before=now)))
        from holdfast.prompts.listing import list_prompts

        opened = [p.opened_at for p in list_prompts(hall.store, votes=False)]
        self._prompts.set(len(opened))
        self._oldest.set(max(0.0, clock.now() - min(opened)) if opened else 0.0)
        return generate_latest(self._registry)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

"""The application: the API and the pages on one hall, behind the guard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from holdfast.errors import StoreError
from holdfast.gateway.api import channels, events, executions, handovers, health, live, people, prompts, runbooks, signals
from holdfast.gateway.guard import App, Guard
from holdfast.gateway.hall import Hall
from holdfast.gateway.live import Live
from holdfast.gateway.metrics import Metrics
from holdfast.gateway.pages import routes
from holdfast.prompts.expiring import expire_due

API: Final = "/api/v1"
_LOOK: Final = 1.0  # seconds between two looks for something to do
#: Where each part of the API is.
ROUTERS: Final = (
    (API, executions.router), (API, prompts.router), (API, runbooks.router), (API, signals.router), (API, handovers.router),
    (API, events.router), (API, channels.router), (API, live.router), (API, people.router),
    ("", health.router),
)  # fmt: skip
_log = logging.getLogger("holdfast.gateway")


def create(hall: Hall, *, root: str = "", hosts: tuple[str, ...] = (), framed: bool = False) -> App:
    """The whole as an ASGI application.

    Args:
        hall: what all requests share.
        root: the path under which it is mounted.
        hosts: the host names it answers to; empty: any.
        framed: whether pages of the same origin may frame it.
    """
    config = hall.config
    return Guard(application(hall, root=root), largest=config.max_request_bytes, timeout=config.request_timeout, hosts=hosts, framed=framed)


def application(hall: Hall, *, root: str = "") -> FastAPI:
    """The same without its guard."""
    app = FastAPI(
        title="Holdfast",
        version=version("holdfast"),
        description="Durable runbooks: executions, prompts, signals, events.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        root_path=root,
        lifespan=_lifespan,
    )
    app.state.hall, app.state.metrics = hall, Metrics()
    app.state.live = Live(app.state.metrics)
    for prefix, router in ROUTERS:
        app.include_router(router, prefix=prefix)
    app.add_api_route(f"{API}/openapi.json", lambda: document(app), methods=["GET"], include_in_schema=False)
    routes.add(app)
    app.middleware("http")(app.state.metrics.count)
    return app


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the API: with the ways to sign in, and problem documents for what goes wrong."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        made.setdefault("components", {})["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of `holdfast token make`, or a JWT."}
        }
        open_to_all = {"/healthz", "/readyz", "/metrics"}
        for path, operations in made["paths"].items():
            for operation in operations.values():
                if path not in open_to_all:
                    operation["security"] = [{"token": []}]
        for name in ("HTTPValidationError", "ValidationError"):
            made["components"].get("schemas", {}).pop(name, None)
        app.openapi_schema = made
    return app.openapi_schema


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    looking = asyncio.ensure_future(watch(app.state.hall))
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def watch(hall: Hall) -> None:
    """See to it that time runs out, that questions reach people, and that somebody works on what there is to do."""
    while True:
        await asyncio.sleep(_LOOK)
        for look in (lambda: _expire(hall), hall.dispatcher.look, hall.workers.look):
            try:
                await asyncio.to_thread(look)  # its threads do not outlive the loop
            except StoreError as error:
                _log.warning("the journal cannot be reached: %s", error)
            except Exception:
                _log.exception("it could not be seen whether there is something to do")


def _expire(hall: Hall) -> None:
    for prompt in expire_due(hall.store, noticed_by="gateway"):
        header = hall.store.header(prompt.execution)
        if header is not None:
            hall.workers.expect(header)

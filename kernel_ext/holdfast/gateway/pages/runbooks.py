"""Runbooks: the shelf, and a form that starts one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from holdfast.client.planning import plan_lines
from holdfast.errors import AuthorError, HoldfastError, OperatorError
from holdfast.gateway import forms, problems
from holdfast.gateway.api.runbooks import schema_of, shown
from holdfast.gateway.asker import Asker, Asking
from holdfast.gateway.pages.drawing import go, page
from holdfast.gateway.pages.prompts import Filled
from holdfast.gateway.planning import plan_start
from holdfast.gateway.starting import start as start_runbook
from holdfast.gateway.texts import Name, clean_value
from holdfast.model.execution import Status

router = APIRouter()


@router.get("/runbooks")
def runbooks(request: Request, asker: Asking) -> Response:
    """What may be seen or started."""
    found = [shown(asker, r) for r in asker.hall.shelf.all() if asker.may("see", r.name) or asker.may("start", r.name)]
    last = {r.name: _last(asker, r.name) for r in found}
    return page(request, "runbooks.html", asker, found=found, last=last)


def _last(asker: Asker, name: str) -> float | None:
    headers = asker.hall.store.headers(statuses=(Status.SUCCEEDED,), runbook=name, limit=1)
    return headers[0].updated_at if headers else None


@router.get("/runbooks/{name}")
def runbook(request: Request, asker: Asking, name: Name) -> Response:
    """One runbook, with its form."""
    return _show(request, asker, name, {}, {})


@router.post("/runbooks/{name}")
async def start(request: Request, asker: Asking, name: Name, filled: Filled) -> Response:
    """Start it."""
    return await run_in_threadpool(_start, request, asker, name, filled)


@router.post("/runbooks/{name}/plan")
async def plan(request: Request, asker: Asking, name: Name, filled: Filled) -> Response:
    """A dry run of it."""
    return await run_in_threadpool(_start, request, asker, name, filled, dry=True)


def _start(request: Request, asker: Asker, name: str, filled: Mapping[str, Sequence[str]], dry: bool = False) -> Response:
    asker.must("start", name)
    found = asker.hall.shelf.get(name)
    if found.manifest is None:
        return _show(request, asker, name, filled, {})
    value, errors = forms.read(schema_of(found.manifest), filled)
    try:
        value = clean_value(value)
    except ValueError as error:
        errors[""] = f"a value {error}"
    if errors:
        return _show(request, asker, name, filled, errors)
    try:
        if dry:
            return _show(request, asker, name, filled, {}, plan=plan_start(asker, name, value))
        header, _ = start_runbook(asker, name, value, key=(filled.get("key") or [None])[0] or None)  # type: ignore[list-item]
    except (AuthorError, OperatorError) as error:
        return _show(request, asker, name, filled, {}, problem=error)
    return go(request, f"executions/{header.id}")


def _show(
    request: Request,
    asker: Asker,
    name: str,
    filled: Mapping[str, Sequence[str]],
    errors: dict[str, str],
    *,
    problem: HoldfastError | None = None,
    plan: dict[str, Any] | None = None,
) -> Response:
    if not asker.may("start", name):
        asker.must("see", name)
    document = shown(asker, asker.hall.shelf.get(name))
    schema: dict[str, Any] = document.json_schema
    fields = forms.fields(schema) if schema else []
    if filled:
        forms.marked(fields, errors, filled)
    status = problems.status_of(problem) if problem else 422 if errors else 200
    return page(
        request, "runbook.html", asker, status=status, runbook=document, fields=fields, errors=errors, problem=problem,
        plan=plan, plan_lines=plan_lines, key=(filled.get("key") or [secrets.token_urlsafe(16)])[0],
    )  # fmt: skip

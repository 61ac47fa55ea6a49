"""Runbooks: what may be started, and with which parameters."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from holdfast.gateway.asker import Asker, Asking
from holdfast.gateway.foreseen import Plan, PlanShown
from holdfast.gateway.hall import is_secret
from holdfast.gateway.planning import plan_start
from holdfast.gateway.problems import responses
from holdfast.gateway.schemas import ParameterShown, RunbookShown
from holdfast.gateway.shelf import Runbook
from holdfast.gateway.texts import Name
from holdfast.model.manifest import Manifest

router = APIRouter(tags=["runbooks"])


def schema_of(manifest: Manifest) -> dict[str, Any]:
    """JSON Schema of a runbook's parameters."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {p.name: {**p.schema, **({"writeOnly": True} if is_secret(p) else {})} for p in manifest.parameters},
        "required": [p.name for p in manifest.parameters if p.required],
        "additionalProperties": False,
    }


def shown(asker: Asker, runbook: Runbook) -> RunbookShown:
    """A runbook as they may see it; the default of a secret parameter is a secret."""
    manifest = runbook.manifest
    parameters, schema = [], schema_of(manifest) if manifest else {}
    for p in manifest.parameters if manifest else ():
        secret = is_secret(p)
        hidden = secret and not asker.may("secrets", f"{runbook.name}/{p.name}")
        if hidden:
            schema["properties"][p.name].pop("default", None)
        parameters.append(
            ParameterShown(
                name=p.name,
                type=p.type,
                required=p.required,
                default=None if hidden else p.default,
                description=p.description,
                secret=secret,
            )
        )
    return RunbookShown(
        name=runbook.name,
        title=manifest.title if manifest else "",
        description=manifest.description if manifest else "",
        steps=[s.name for s in manifest.steps] if manifest else [],
        parameters=parameters,
        json_schema=schema,
        problem=runbook.problem or None,
        may_start=manifest is not None and asker.may("start", runbook.name),
    )


@router.get("/runbooks", responses=responses())
def list_runbooks(asker: Asking) -> list[RunbookShown]:
    """Those that they may see or start, by name."""
    return [shown(asker, r) for r in asker.hall.shelf.all() if asker.may("see", r.name) or asker.may("start", r.name)]


@router.get("/runbooks/{name}", responses=responses(404, 409))
def get_runbook(asker: Asking, name: Name) -> RunbookShown:
    """One runbook."""
    if not asker.may("start", name):
        asker.must("see", name)
    return shown(asker, asker.hall.shelf.get(name))


@router.post("/runbooks/{name}/plan", responses=responses(404, 409))
def plan(asker: Asking, name: Name, asked: Plan | None = None) -> PlanShown:
    """A dry run: what a start with these parameters would change now, and which guardrails would refuse it. What only reads is run; nothing
    is changed."""
    return PlanShown(**plan_start(asker, name, asked.parameters if asked else {}))

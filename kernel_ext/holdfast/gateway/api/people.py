"""Who asks, and the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from holdfast.gateway.asker import Asking
from holdfast.gateway.problems import responses
from holdfast.gateway.schemas import ActShown, PersonShown
from holdfast.gateway.statistics import Statistics, statistics
from holdfast.gateway.texts import Limit, Text

router = APIRouter(tags=["people"])


@router.get("/me", responses=responses())
def me(asker: Asking) -> PersonShown:
    """Who you are here."""
    roles = sorted(r.removeprefix("role:") for r in asker.policy.roles_of(asker.person))
    return PersonShown(
        name=asker.person.name, groups=list(asker.groups), roles=["owner"] if asker.person.owner else roles, how=asker.person.how,
        form_token=asker.form_token if asker.visit.ambient else None,
    )  # fmt: skip


@router.get("/audit", responses=responses())
def audit(
    asker: Asking,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Limit = 100,
    newest_first: bool = False,
) -> list[ActShown]:
    """The audit log: every act and every refusal."""
    asker.must("audit", "log")
    return [ActShown.of(a) for a in asker.hall.audit.list(after=after, limit=limit, newest_first=newest_first)]


@router.get("/statistics", responses=responses())
def get_statistics(asker: Asking, runbook: Annotated[Text | None, Query(max_length=200)] = None) -> list[Statistics]:
    """How the newest executions of each runbook went: success, time per step, where people were waited for."""
    return statistics(asker, runbook=runbook)

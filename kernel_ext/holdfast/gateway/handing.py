"""Hand-overs and reports as somebody may see and act on them: what API and pages have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from holdfast.client.brief import Brief
from holdfast.client.brief import brief as gather_brief
from holdfast.client.report import Report
from holdfast.client.report import report as gather_report
from holdfast.executions import handover
from holdfast.gateway.asker import Asker
from holdfast.model.execution import Execution
from holdfast.model.handover import Handover, HandoverState
from holdfast.prompts.listing import list_prompts

T = TypeVar("T", Brief, Report)


def brief(asker: Asker, header: Execution) -> Brief:
    """What somebody who takes ``header`` over must know; nothing in it is secret to them.

    Raises:
        StoreError.
    """
    store = asker.hall.store
    return _veiled(asker, header, gather_brief(store, header, list_prompts(store, state=None, execution=header.id)))


def report(asker: Asker, header: Execution) -> Report:
    """The report on ``header``; nothing in it is secret to them.

    Raises:
        StoreError.
    """
    store = asker.hall.store
    return _veiled(asker, header, gather_report(store, header, list_prompts(store, state=None, execution=header.id)))


def _veiled(asker: Asker, header: Execution, found: T) -> T:
    return msgspec.convert(asker.veil(header)(msgspec.to_builtins(found)), type(found))


def offers(asker: Asker) -> list[tuple[Handover, Execution]]:
    """The open offers that they may see, the oldest first.

    Raises:
        StoreError.
    """
    found = [(one, asker.hall.store.header(one.execution)) for one in handover.offers(asker.hall.store)]
    return [(one, header) for one, header in found if header is not None and asker.may("see", header.runbook)]


def may_take(asker: Asker, header: Execution, one: Handover) -> bool:
    """Whether the open offer is for them, and the policy lets them take it."""
    theirs = one.state == HandoverState.OFFERED and one.giver != asker.person.name and one.is_for(asker.person.name, asker.groups)
    return theirs and asker.may("handover", header.runbook)


def offer(asker: Asker, header: Execution, to: Sequence[str], note: str) -> Handover:
    """Offer it, in their name.

    Raises:
        RequestError: HF702. PromptError: HF420, HF422. OperatorError: HF253. StoreError.
    """
    with asker.acting("handover", header.id, header.runbook, detail=f"offer to {', '.join(to)}"):
        return handover.offer(asker.hall.store, header, to=to, who=asker.person.name, note=note)


def end(asker: Asker, header: Execution, how: handover.How, why: str) -> Handover:
    """Take it over, say no, or take the offer back, in their name.

    Raises:
        RequestError: HF702. PromptError: HF420, HF421, HF423. OperatorError: HF253. StoreError.
    """
    with asker.acting("handover", header.id, header.runbook, detail=how):
        return handover.end(asker.hall.store, header, how, who=asker.person.name, groups=asker.groups, via=asker.via, why=why or None)

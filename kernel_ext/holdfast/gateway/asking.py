"""Prompts as somebody may see and answer them: what API and pages have in common."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.errors import LookupFailedError
from holdfast.gateway.asker import Asker
from holdfast.model.execution import Execution, Status
from holdfast.model.prompt import Prompt, PromptState
from holdfast.prompts import allowed, answering, listing
from holdfast.prompts.expiring import expire
from holdfast.prompts.wording import veiled

_FEW: Final = 20
_ASKING: Final = (Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.PAUSED, Status.FAILED)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt, what it belongs to, and what the person may do with it. Nothing in it is secret to them."""

    prompt: Prompt
    execution: Execution
    refusal: str | None  # why they may not answer; None: they may


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the open prompts, and how many there are in all."""

    found: list[Shown]
    total: int


def open_prompts(
    asker: Asker, *, runbook: str | None = None, text: str = "", mine: bool = False, urgent: bool = False, offset: int = 0, limit: int
) -> Page:
    """Those open that they may see, the oldest first. The journal is asked a fixed number of times, however many there are; once more for
    each approval on the page that needs several votes.

    Args:
        runbook: only of this one.
        text: only where question, target, step or runbook has it.
        mine: only those that they may answer.
        urgent: those with the nearest time limit first.

    Raises:
        StoreError.
    """
    opened = listing.list_prompts(asker.hall.store, votes=False)
    if urgent:
        opened.sort(key=lambda p: (p.due_at is None, p.due_at or 0.0, p.opened_at))
    headers = _headers(asker, {p.execution for p in opened})
    wanted = text.strip().lower()
    found = []
    for prompt in opened:
        header = headers.get(prompt.execution)
        if header is None or runbook not in (None, header.runbook) or not asker.may("see", header.runbook):
            continue
        if wanted and not any(wanted in said.lower() for said in _searched(asker, prompt, header)):
            continue
        if not mine or _refusal(asker, prompt, header) is None:
            found.append((prompt, header))
    some = found[offset : offset + limit]
    return Page(found=[_shown(asker, listing.with_votes(asker.hall.store, p), h) for p, h in some], total=len(found))


def _headers(asker: Asker, ids: set[str]) -> dict[str, Execution]:
    """Of a few one by one, of many in one reading of all that have not ended well."""
    store = asker.hall.store
    known = {} if len(ids) <= _FEW else {h.id: h for h in store.headers(statuses=_ASKING)}
    single = [store.header(id) for id in ids - known.keys()]
    return known | {h.id: h for h in single if h is not None}


def _searched(asker: Asker, prompt: Prompt, header: Execution) -> list[str]:
    target = prompt.question.target if prompt.question is not None else None
    veil = asker.veil(header)  # what they may not see they must not find out by looking for it
    return [veil(prompt.text), veil(target or ""), prompt.step or "", header.runbook, prompt.id]


def prompts_of(asker: Asker, header: Execution, state: PromptState | None = None) -> list[Shown]:
    """Those of one execution that they may see, the oldest first.

    Raises:
        StoreError.
    """
    return [_shown(asker, p, header) for p in listing.list_prompts(asker.hall.store, state=state, execution=header.id)]


def prompt(asker: Asker, id: str) -> Shown:
    """The prompt with exactly this id.

    Raises:
        LookupFailedError: HF602. RequestError: HF702. StoreError.
    """
    found, header = _find(asker, id)
    asker.must("see", header.runbook, about=id)
    if found.state == PromptState.OPEN:
        found = expire(asker.hall.store, found, noticed_by=asker.person.name)
    return _shown(asker, found, header)


def answer(asker: Asker, id: str, verdict: str | None, *, value: Any = None, why: str | None = None, typed: str | None = None) -> Shown:
    """Answer it, in their name; its execution goes on.

    Raises:
        LookupFailedError: HF602. RequestError: HF702. PromptError: HF401 to HF409. StoreError.
    """
    found, header = _find(asker, id)
    asker.must("see", header.runbook, about=id)
    with asker.acting("answer", id, f"{header.runbook}/{found.step or ''}"):
        answered = answering.answer(
            asker.hall.store,
            id,
            verdict,
            value=value,
            who=asker.person.name,
            via=asker.via,
            why=why or None,
            typed=typed,
            groups=asker.groups,
        )
    if answered.state != PromptState.OPEN:
        asker.hall.workers.expect(header)
    return _shown(asker, answered, header)


def _find(asker: Asker, id: str) -> tuple[Prompt, Execution]:
    execution = id.rpartition(".")[0]
    header = asker.hall.store.header(execution) if execution else None
    if header is not None:
        for found in listing.list_prompts(asker.hall.store, state=None, execution=execution):
            if found.id == id:
                return found, header
    raise LookupFailedError("HF602", "there is no such prompt", cure="GET /api/v1/prompts lists the open ones.", prompt=id)


def _refusal(asker: Asker, prompt: Prompt, header: Execution) -> str | None:
    if not asker.may("answer", f"{header.runbook}/{prompt.step or ''}"):
        return f"the policy does not let {asker.person.name} answer prompts of {header.runbook}"
    return allowed.refusal(prompt, asker.person.name, asker.groups)


def _shown(asker: Asker, prompt: Prompt, header: Execution) -> Shown:
    return Shown(prompt=veiled(prompt, asker.veil(header)), execution=header, refusal=_refusal(asker, prompt, header))

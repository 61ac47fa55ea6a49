"""Prompts as somebody may see and answer them: what API and pages have in common."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.errors import LookupFailedError, PromptError
from holdfast.gateway.asker import Asker
from holdfast.model.execution import Execution
from holdfast.model.prompt import Prompt, PromptState
from holdfast.prompts import allowed, answering, listing
from holdfast.prompts.expiring import expire
from holdfast.prompts.sealing import masked


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt, what it belongs to, and what the person may do with it. Nothing in it is secret to them."""

    prompt: Prompt
    execution: Execution
    refusal: str | None  # why they may not answer; None: they may


def prompts(asker: Asker, *, state: PromptState | None = PromptState.OPEN, execution: str | None = None) -> list[Shown]:
    """Those that they may see, the oldest first.

    Raises:
        StoreError.
    """
    headers: dict[str, Execution | None] = {}
    found = []
    for prompt in listing.list_prompts(asker.hall.store, state=state, execution=execution):
        if prompt.execution not in headers:
            headers[prompt.execution] = asker.hall.store.header(prompt.execution)
        header = headers[prompt.execution]
        if header is not None and asker.may("see", header.runbook):
            found.append(_shown(asker, prompt, header))
    return found


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


def _shown(asker: Asker, prompt: Prompt, header: Execution) -> Shown:
    refusal: str | None = None
    if not asker.may("answer", f"{header.runbook}/{prompt.step or ''}"):
        refusal = f"the policy does not let {asker.person.name} answer prompts of {header.runbook}"
    else:
        refusal = allowed.refusal(prompt, asker.person.name, asker.groups)
    veil = asker.veil(header)
    prompt = msgspec.structs.replace(prompt, text=veil(prompt.text), request=veil(prompt.request), value=veil(masked(prompt.value)))
    if prompt.question is not None:
        told = {n: veil(getattr(prompt.question, n)) for n in ("target", "command")}
        prompt = msgspec.structs.replace(prompt, question=msgspec.structs.replace(prompt.question, **told))
    return Shown(prompt=prompt, execution=header, refusal=refusal)


def who_was_first(error: PromptError, asker: Asker, id: str) -> Prompt | None:
    """The prompt as somebody else left it, when ``error`` says that it has ended."""
    return _find(asker, id)[0] if error.code == "HF401" else None

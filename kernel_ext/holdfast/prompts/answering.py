"""Ending a question: the first end wins, whoever is late learns who was first."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.errors import LookupFailedError, PromptError
from holdfast.foundation import clock
from holdfast.journal.errors import OnceTaken
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Status
from holdfast.model.prompt import Prompt, PromptState
from holdfast.prompts.listing import ended, get, list_prompts


def answer(store: Store, id: str, verdict: str, *, value: Any = None, who: str, via: str, why: str | None = None) -> Prompt:
    """Answer a prompt and make its execution due.

    Args:
        store: the journal.
        id: of the prompt, or a unique beginning.
        verdict: one of its open verdicts.
        value: JSON types; the result of a call that happened.
        who: the person.
        via: the way the answer came, e.g. ``cli``.
        why: their reason.

    Raises:
        LookupFailedError: HF602. PromptError: HF401 it has ended already, HF402 not one of its verdicts, HF403 the execution has
        ended, HF404 the verdict takes no value. StoreError.
    """
    prompt = get(store, id)
    _check(prompt, verdict, value)
    header = store.header(prompt.execution)
    if header is None:
        raise LookupFailedError("HF601", f"there is no execution {prompt.execution}", cure="`holdfast list` shows them")
    if header.status in (Status.SUCCEEDED, Status.CANCELLED):
        raise PromptError("HF403", f"the execution is {header.status} meanwhile", cure="nothing is left to answer", execution=header.id)
    body = {"verdict": str(verdict), "value": value, "who": who, "via": via, "why": why}
    draft = Draft(kind=Kind.PROMPT_ANSWERED, step=prompt.step, key=prompt.id, body=body, actor=who, once=_end(prompt.id))
    due = Change(due_at=clock.now())  # also while it still runs: it may be about to suspend
    try:
        store.append(prompt.execution, (draft,), fence=None, change=due, closes=(prompt.id,))
    except OnceTaken as taken:
        raise _late(ended(prompt, taken.entry)) from None
    return get(store, prompt.id)


def withdraw(store: Store, prompt: Prompt, *, who: str, why: str) -> Prompt:
    """End a prompt that nobody needs answered any more. Nothing happens when it has ended already.

    Raises:
        StoreError.
    """
    body = {"who": who, "why": why}
    draft = Draft(kind=Kind.PROMPT_WITHDRAWN, step=prompt.step, key=prompt.id, body=body, actor=who, once=_end(prompt.id))
    try:
        store.append(prompt.execution, (draft,), fence=None, closes=(prompt.id,))
    except OnceTaken as taken:
        return ended(prompt, taken.entry)
    return msgspec.structs.replace(prompt, state=PromptState.WITHDRAWN, answered_by=who, why=why)


def withdraw_all(store: Store, execution: str, *, who: str, why: str) -> int:
    """End every open prompt of an execution that has come to its end; returns how many there were.

    Raises:
        StoreError.
    """
    open_ones = list_prompts(store, execution=execution)
    for prompt in open_ones:
        withdraw(store, prompt, who=who, why=why)
    return len(open_ones)


def _end(id: str) -> str:
    """What the first terminal entry takes."""
    return f"prompt:{id}:end"


def _check(prompt: Prompt, verdict: str, value: Any) -> None:
    if prompt.state != PromptState.OPEN:
        raise _late(prompt)
    if verdict not in prompt.verdicts:
        raise PromptError(
            "HF402", f"{verdict!r} is no answer to this prompt", cure=f"answer one of: {', '.join(prompt.verdicts)}", prompt=prompt.id
        )
    if value is not None and verdict != "happened":
        cure = "leave the value out, or answer `happened`"
        raise PromptError("HF404", f"the verdict {verdict!r} takes no value", cure=cure, prompt=prompt.id)


def _late(prompt: Prompt) -> PromptError:
    at = f" at {clock.iso(prompt.answered_at)}" if prompt.answered_at is not None else ""
    how = f"{prompt.state} by {prompt.answered_by or 'nobody'}{at}" + (f" with {prompt.answer!r}" if prompt.answer else "")
    cure = "the first answer stands; `holdfast show` tells what came of it"
    return PromptError("HF401", f"the prompt was {how}", cure=cure, prompt=prompt.id)

"""Ending a question: the first end wins, whoever is late learns who was first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from holdfast.errors import LookupFailedError, PromptError
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.journal.errors import OnceTaken
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Status
from holdfast.model.prompt import YES, Prompt, PromptKind, PromptState
from holdfast.prompts.allowed import check
from holdfast.prompts.expiring import expire
from holdfast.prompts.fitting import check_extras, fit
from holdfast.prompts.listing import end_of, ended, get, list_prompts
from holdfast.prompts.sealing import seal


def answer(
    store: Store,
    id: str,
    verdict: str | None,
    *,
    value: Any = None,
    who: str,
    via: str,
    why: str | None = None,
    typed: str | None = None,
    groups: Iterable[str] = (),
) -> Prompt:
    """Answer a prompt; once it is settled its execution is due. An approval by several people counts votes, and is settled by
    the last one that is needed or by the first refusal.

    Args:
        store: the journal.
        id: of the prompt, or a unique beginning.
        verdict: one of its open verdicts; None where the value says it all.
        value: JSON types; the result of a call that happened, or what a form asks for. Its secret fields are sealed before they are kept.
        who: the person.
        via: the way the answer came, e.g. ``cli``.
        why: their reason.
        typed: the name that a destructive question wants typed.
        groups: those the person is in.

    Raises:
        LookupFailedError: HF602. PromptError: HF401 it has ended already, HF402 not one of its verdicts, HF403 the execution has
        ended, HF404 the verdict takes no value, HF405 the value does not fit, HF406 this person may not answer, HF407 nor vote twice,
        HF408 a reason is needed, HF409 the name was not typed. StoreError.
    """
    while True:
        prompt = expire(store, get(store, id), noticed_by=who)
        _must_be_open(store, prompt)
        check(prompt, who, groups)
        fitting, kept = fit(prompt, verdict, value)
        check_extras(prompt, fitting, why, typed)
        if prompt.question is not None and prompt.question.schema is not None:
            kept = seal(prompt.question.schema, kept, store.key, prompt.id)
        body = {"verdict": fitting, "value": kept, "who": who, "via": via, "why": why}
        try:
            store.append(prompt.execution, *_drafts(prompt, body), **_settling(prompt, body))
        except OnceTaken as taken:
            if taken.entry.kind == Kind.PROMPT_VOTED:
                continue  # somebody voted meanwhile: count again
            raise late(ended(prompt, taken.entry)) from None
        point("prompt.after_answer")
        after = get(store, prompt.id)
        if after.state == PromptState.OPEN or _settled(prompt, body):
            return after
        raise late(after)  # it ended between the look and the vote, which therefore counts for nothing


def _drafts(prompt: Prompt, body: dict[str, Any]) -> tuple[tuple[Draft, ...]]:
    """A vote takes the next place, so that votes come one after the other; what settles the prompt is in the same transaction."""
    drafts = []
    common: dict[str, Any] = {"step": prompt.step, "key": prompt.id, "actor": body["who"]}
    if prompt.kind == PromptKind.APPROVE:
        place = f"prompt:{prompt.id}:vote:{len(prompt.votes) + 1}"
        drafts.append(Draft(kind=Kind.PROMPT_VOTED, body=body, once=place, **common))
    if _settled(prompt, body):
        drafts.append(Draft(kind=Kind.PROMPT_ANSWERED, body=body, once=end_of(prompt.id), **common))
    return (tuple(drafts),)


def _settling(prompt: Prompt, body: dict[str, Any]) -> dict[str, Any]:
    if not _settled(prompt, body):
        return {"fence": None}
    return {
        "fence": None,
        "change": Change(due_at=clock.now()),
        "closes": (prompt.id,),
    }  # due also while it runs: it may be about to suspend


def _settled(prompt: Prompt, body: dict[str, Any]) -> bool:
    """Whether this answer is the last that is needed."""
    return prompt.kind != PromptKind.APPROVE or body["verdict"] != YES or prompt.needed <= 1


def withdraw(store: Store, prompt: Prompt, *, who: str, why: str) -> Prompt:
    """End a prompt that nobody needs answered any more. Nothing happens when it has ended already.

    Raises:
        StoreError.
    """
    try:
        store.append(prompt.execution, (_withdrawal(prompt, who, why),), fence=None, closes=(prompt.id,))
    except OnceTaken as taken:
        return ended(prompt, taken.entry)
    return msgspec.structs.replace(prompt, state=PromptState.WITHDRAWN, answered_by=who, why=why)


def _withdrawal(prompt: Prompt, who: str, why: str) -> Draft:
    body = {"who": who, "why": why}
    return Draft(kind=Kind.PROMPT_WITHDRAWN, step=prompt.step, key=prompt.id, body=body, actor=who, once=end_of(prompt.id))


def end_with(store: Store, execution: str, append: Callable[[tuple[Draft, ...], tuple[str, ...]], object], *, who: str, why: str) -> None:
    """Commit the end of an execution together with that of its open prompts, so that no kill leaves a question that nobody needs.

    Args:
        append: writes the end, the given drafts and what they close in one transaction. Called again when an answer came between.

    Raises:
        What ``append`` raises; StoreError.
    """
    answered: set[str | None] = set()
    while True:
        open_ones = [p for p in list_prompts(store, execution=execution) if p.id not in answered]
        try:
            append(tuple(_withdrawal(p, who, why) for p in open_ones), tuple(p.id for p in open_ones))
        except OnceTaken as taken:
            if taken.entry.key in answered or not open_ones:
                raise
            answered.add(taken.entry.key)
        else:
            return


def _must_be_open(store: Store, prompt: Prompt) -> None:
    if prompt.state != PromptState.OPEN:
        raise late(prompt)
    header = store.header(prompt.execution)
    if header is None:
        raise LookupFailedError("HF601", f"there is no execution {prompt.execution}", cure="`holdfast list` shows them")
    if header.status in (Status.SUCCEEDED, Status.CANCELLED):
        raise PromptError("HF403", f"the execution is {header.status} meanwhile", cure="nothing is left to answer", execution=header.id)


def late(prompt: Prompt) -> PromptError:
    """HF401, for whoever answers a prompt that has ended: how, when and by whom."""
    at = f" at {clock.iso(prompt.answered_at)}" if prompt.answered_at is not None else ""
    if prompt.state == PromptState.EXPIRED:
        what = f"the prompt has expired{at}: nobody had answered it in time"
        return PromptError("HF401", what, cure="`holdfast show` tells what came of it", prompt=prompt.id)
    how = f"{prompt.state} by {prompt.answered_by or 'nobody'}{at}" + (f" with {prompt.answer!r}" if prompt.answer else "")
    cure = "the first answer stands; `holdfast show` tells what came of it"
    return PromptError("HF401", f"the prompt was {how}", cure=cure, prompt=prompt.id)

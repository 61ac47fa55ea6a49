"""The questions that are open, were open, or are one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from holdfast.errors import LookupFailedError
from holdfast.journal.store import Store
from holdfast.model.entry import Entry, Kind
from holdfast.model.prompt import Prompt, PromptState, Vote
from holdfast.prompts.opening import PENDING

_KINDS = (Kind.PROMPT_OPENED, Kind.PROMPT_VOTED, Kind.PROMPT_ANSWERED, Kind.PROMPT_EXPIRED, Kind.PROMPT_WITHDRAWN)
_ENDS = {
    Kind.PROMPT_ANSWERED: PromptState.ANSWERED,
    Kind.PROMPT_EXPIRED: PromptState.EXPIRED,
    Kind.PROMPT_WITHDRAWN: PromptState.WITHDRAWN,
}
_opened = msgspec.msgpack.Decoder(Prompt).decode
_SHORTEST_PREFIX = 4


def list_prompts(
    store: Store, *, state: PromptState | str | None = PromptState.OPEN, execution: str | None = None, votes: bool = True
) -> list[Prompt]:
    """Prompts, the oldest first.

    Args:
        store: the journal.
        state: only these; None: all. Anything but ``open`` reads the entries of ``execution``, or of every execution.
        execution: only this one's.
        votes: with the votes given so far, one more reading for each open one that needs several; see :func:`with_votes`.

    Raises:
        StoreError.
    """
    if state == PromptState.OPEN:
        found = [_opened(p.body) for p in store.pending(kind=PENDING, execution=execution)]
        found = [with_votes(store, p) for p in found] if votes else found
        return sorted(found, key=lambda p: p.opened_at)
    executions = [execution] if execution is not None else [header.id for header in store.headers(newest_first=False)]
    found = [p for e in executions for p in fold(store.read(e, kinds=_KINDS)) if state is None or p.state == state]
    return sorted(found, key=lambda p: p.opened_at)


def get(store: Store, id: str) -> Prompt:
    """One prompt, by its id, a unique beginning of it, or a unique beginning of the part after the dot.

    Raises:
        LookupFailedError: HF602 there is none, or there are several.
        StoreError.
    """
    execution, dot, _ = id.rpartition(".")
    if dot:
        for prompt in fold(store.read(execution, kinds=_KINDS)):
            if prompt.id == id:
                return prompt
    candidates = _candidates(store, id) if len(id) >= _SHORTEST_PREFIX else []
    if len(candidates) == 1:  # found by the index; what it says, and who may answer, is in the journal
        return next((p for p in fold(store.read(candidates[0].execution, kinds=_KINDS)) if p.id == candidates[0].id), candidates[0])
    if candidates:
        some = ", ".join(p.id for p in candidates[:5])
        raise LookupFailedError("HF602", f"{len(candidates)} prompts match {id!r}: {some}", cure="give more of the id")
    raise LookupFailedError("HF602", f"there is no prompt {id!r}", cure="`holdfast prompts` lists the open ones")


def last_seq(store: Store, execution: str) -> int:
    """The seq of the last entry about any prompt of ``execution``; 0 when there is none: what a listener need not be told again.

    Raises:
        StoreError.
    """
    entries = store.read(execution, kinds=_KINDS)
    return entries[-1].seq if entries else 0


def fold(entries: Iterable[Entry]) -> list[Prompt]:
    """Prompts from their entries, in order of opening."""
    prompts: dict[str, Prompt] = {}
    for entry in entries:
        key = entry.key or ""
        if entry.kind == Kind.PROMPT_OPENED:
            prompts.setdefault(key, _opened(entry.body))
        elif entry.kind == Kind.PROMPT_VOTED and key in prompts:
            prompts[key] = _voted(prompts[key], entry)
        elif entry.kind in _ENDS and key in prompts and prompts[key].state == PromptState.OPEN:
            prompts[key] = ended(prompts[key], entry)
    return list(prompts.values())


def ended(prompt: Prompt, entry: Entry) -> Prompt:
    """``prompt`` after its terminal entry."""
    body: dict[str, Any] = entry.data
    return msgspec.structs.replace(
        prompt,
        state=_ENDS[Kind(entry.kind)],
        answer=body.get("verdict"),
        value=body.get("value"),
        answered_by=body.get("who"),
        answered_at=entry.at,
        via=body.get("via"),
        why=body.get("why"),
    )


def _candidates(store: Store, prefix: str) -> list[Prompt]:
    """Open ones first: an id is typed to answer it. Ended ones are looked for only when the prefix names their execution."""
    opened = [p for p in list_prompts(store) if p.id.startswith(prefix) or p.id.rpartition(".")[2].startswith(prefix)]
    if opened:
        return opened
    execution, dot, _ = prefix.rpartition(".")
    return [p for p in fold(store.read(execution, kinds=_KINDS)) if p.id.startswith(prefix)] if dot else []


def _voted(prompt: Prompt, entry: Entry) -> Prompt:
    """``prompt`` after a vote; one that came after the end counts for nothing."""
    if prompt.state != PromptState.OPEN:
        return prompt
    body: dict[str, Any] = entry.data
    vote = Vote(who=body["who"], verdict=body["verdict"], at=entry.at, via=body["via"], why=body.get("why"))
    return msgspec.structs.replace(prompt, votes=(*prompt.votes, vote))


def with_votes(store: Store, prompt: Prompt) -> Prompt:
    """The index of open matters has a prompt as it was opened; the votes since are in the journal.

    Raises:
        StoreError.
    """
    if prompt.question is None or prompt.question.at_least == 1:
        return prompt
    return next((p for p in fold(store.read(prompt.execution, kinds=_KINDS)) if p.id == prompt.id), prompt)


def end_of(id: str) -> str:
    """What the first terminal entry of a prompt takes."""
    return f"prompt:{id}:end"

"""The end of a question that nobody answered in time. Whoever notices first writes it down; an answer that came before stands."""

from __future__ import annotations

import msgspec

from holdfast.foundation import clock
from holdfast.journal.errors import OnceTaken
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change
from holdfast.model.prompt import Prompt, PromptState
from holdfast.prompts.listing import end_of, ended, get, list_prompts


def overdue(prompt: Prompt) -> bool:
    """Whether it is open past its time."""
    return prompt.state == PromptState.OPEN and prompt.due_at is not None and clock.now() >= prompt.due_at


def expire(store: Store, prompt: Prompt, *, noticed_by: str) -> Prompt:
    """The prompt as it ended: expired, unless an answer was first. Nothing happens before its time. Makes its execution due.

    Raises:
        StoreError.
    """
    if not overdue(prompt):
        return prompt
    body = {"noticed_by": noticed_by, "due_at": prompt.due_at}
    draft = Draft(kind=Kind.PROMPT_EXPIRED, step=prompt.step, key=prompt.id, body=body, actor=noticed_by, once=end_of(prompt.id))
    try:
        store.append(prompt.execution, (draft,), fence=None, change=Change(due_at=clock.now()), closes=(prompt.id,))
    except OnceTaken as taken:
        return ended(prompt, taken.entry)
    return msgspec.structs.replace(prompt, state=PromptState.EXPIRED, answered_at=clock.now())


def expire_due(store: Store, *, noticed_by: str) -> list[Prompt]:
    """End every open prompt whose time has come, found by index; returns those.

    Raises:
        StoreError.
    """
    due = {p.key for p in store.pending(kind="prompt", due_before=clock.now())}
    found = []
    for execution in {id.rpartition(".")[0] for id in due}:
        for prompt in list_prompts(store, execution=execution):
            if prompt.id in due and overdue(prompt):
                found.append(expire(store, get(store, prompt.id), noticed_by=noticed_by))
    return found

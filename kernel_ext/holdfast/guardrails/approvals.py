"""Consents that an execution has on record, and whether somebody looks on."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from holdfast.journal.store import Store
from holdfast.model.entry import Kind
from holdfast.model.execution import Execution, Mode
from holdfast.model.prompt import YES, Prompt, PromptKind

_ASKED = (PromptKind.CONFIRM, PromptKind.APPROVE)
_STARTED_BY_NOBODY = ("rule ", "schedule", "sensor", "automation", "backfill")


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """A person's yes to a question that a step asked."""

    prompt: str
    step: str | None
    text: str
    who: str | None
    at: float  # seconds since the epoch
    why: str | None = None
    count: int | None = None  # to so many things; None: to the whole step
    target: str | None = None


def consents(store: Store, execution: str, steps: Collection[str] | None = None) -> list[Consent]:
    """The consents on record, the newest first.

    Args:
        steps: only what was asked in these; None: wherever.

    Raises:
        StoreError.
    """
    asked: dict[str, Prompt] = {}
    found: list[Consent] = []
    for entry in store.read(execution, kinds=(Kind.PROMPT_OPENED, Kind.PROMPT_ANSWERED)):
        if entry.kind == Kind.PROMPT_OPENED:
            prompt = msgspec.msgpack.decode(entry.body, type=Prompt)
            asked[prompt.id] = prompt
            continue
        body, opened = entry.data, asked.get(entry.key or "")
        if opened is None or opened.kind not in _ASKED or body.get("verdict") != YES:
            continue
        if steps is not None and opened.step not in steps:
            continue
        question = opened.question
        found.append(
            Consent(
                prompt=opened.id,
                step=opened.step,
                text=opened.text,
                who=body.get("who"),
                at=entry.at,
                why=body.get("why"),
                count=question.count if question else None,
                target=question.target if question else None,
            )
        )
    return found[::-1]


def attended(store: Store, header: Execution) -> bool:
    """Whether a person started the execution: at a notebook, a shell, a command line, in the inbox. Not so when a rule, a schedule or a
    sensor did, or an execution that nobody attends.

    Raises:
        StoreError.
    """
    for _ in range(20):
        if header.mode is not Mode.BATCH:
            return True
        created = store.read(header.id, kinds=(Kind.EXECUTION_CREATED,), limit=1)
        body = created[0].data if created else {}
        if body.get("unattended") or str(body.get("via") or "").startswith(_STARTED_BY_NOBODY):
            return False
        above = store.header(header.parent) if header.parent is not None else None
        if above is None:
            return True
        header = above
    return False

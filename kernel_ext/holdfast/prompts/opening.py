"""Opening a question, once however often a crash makes the execution ask again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.journal.errors import OnceTaken
from holdfast.journal.writer import Writer
from holdfast.model.entry import Kind, Pending
from holdfast.model.prompt import Prompt, PromptKind, Question

PENDING = "prompt"


def prompt_id(execution: str, step: str | None, subject: str, purpose: str, attempt: int = 1) -> str:
    """``<execution>.<8 hex>``, the same for the same question in every process."""
    digest = blake2b(f"{execution}\0{step}\0{subject}\0{purpose}\0{attempt}".encode(), digest_size=4).hexdigest()
    return f"{execution}.{digest}"


def open_prompt(
    writer: Writer,
    *,
    step: str | None,
    subject: str,
    kind: PromptKind,
    text: str,
    verdicts: Sequence[str],
    request: Mapping[str, Any] | None = None,
    attempt: int = 1,
    due_at: float | None = None,
    question: Question | None = None,
) -> Prompt:
    """Ask; when the same question is there already, open or ended, nothing is written and it is returned as it was asked.

    Args:
        writer: of the execution that asks.
        step: the step that waits.
        subject: what it is about (a call's key); with step, kind and ``attempt`` it makes the id.
        kind: why it is asked.
        text: the question, for a person.
        verdicts: what may be answered.
        request: the call as made: kind, operation, arguments.
        attempt: of the call, so that a later attempt at it asks anew.
        due_at: seconds since the epoch; None: it waits for ever.
        question: an author's: who may answer, what with, what if nobody does.

    Raises:
        Fenced, StoreError.
    """
    prompt = Prompt(
        id=prompt_id(writer.execution, step, subject, kind, attempt),
        execution=writer.execution,
        step=step,
        kind=kind,
        text=text,
        request=dict(request or {}),
        verdicts=tuple(verdicts),
        opened_at=clock.now(),
        due_at=due_at,
        question=question,
    )
    body = msgspec.msgpack.encode(prompt)
    pending = Pending(execution=writer.execution, kind=PENDING, key=prompt.id, due_at=due_at, body=body)
    try:
        writer.append(Kind.PROMPT_OPENED, body, step=step, key=prompt.id, once=f"prompt:{prompt.id}:open", opens=(pending,))
    except OnceTaken as taken:
        return msgspec.msgpack.decode(taken.entry.body, type=Prompt)
    point("prompt.after_open")
    return prompt

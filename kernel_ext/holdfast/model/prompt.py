"""Prompt: a question to a person."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class PromptState(StrEnum):
    """``open -> answered | expired | withdrawn``; the first end wins."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class PromptKind(StrEnum):
    """Why it is asked."""

    UNKNOWN_OUTCOME = "unknown_outcome"
    RETRIES_EXHAUSTED = "retries_exhausted"
    NONDETERMINISM = "nondeterminism"
    QUESTION = "question"  # confirm, ask, form, approve


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A question as lists show it. Its id is unique across executions."""

    id: str
    execution: str
    step: str | None
    kind: PromptKind
    text: str
    request: dict[str, Any] = {}  # the call as made: kind, operation (command line, method + URL ...), arguments
    verdicts: tuple[str, ...] = ()  # what may be answered
    state: PromptState = PromptState.OPEN
    opened_at: float = 0.0  # seconds since the epoch
    due_at: float | None = None
    answer: str | None = None  # the verdict or option
    value: Any = None
    answered_by: str | None = None
    answered_at: float | None = None
    via: str | None = None
    why: str | None = None

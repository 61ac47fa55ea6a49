"""Prompt: a question to a person."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec


class PromptState(StrEnum):
    """``open -> answered | expired | withdrawn``; the first end wins."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class PromptKind(StrEnum):
    """Why it is asked: the first three Holdfast asks itself, the others an author."""

    UNKNOWN_OUTCOME = "unknown_outcome"
    RETRIES_EXHAUSTED = "retries_exhausted"
    NONDETERMINISM = "nondeterminism"
    CONFIRM = "confirm"  # yes | no
    ASK = "ask"  # one of some options, or a line of text
    FORM = "form"  # an object that fits a JSON Schema
    APPROVE = "approve"  # yes | no, by some people or so many of them


#: What is answered to a question that is no choice: ``answer`` comes with a value.
YES: Final = "yes"
NO: Final = "no"
ANSWER: Final = "answer"
DECLINE: Final = "decline"


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """One person's word on an approval."""

    who: str
    verdict: str
    at: float  # seconds since the epoch
    via: str
    why: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an author's question says beside its text.

    ``who`` and ``escalate_to`` name people, or groups (``group:NAME`` where a person has the same name). Times are seconds.
    """

    who: tuple[str, ...] = ()  # who may answer; empty: anybody who may answer this runbook's prompts
    via: tuple[str, ...] = ()  # channels; empty: the installation's
    at_least: int = 1  # approve: so many different people
    not_self: bool = False  # approve: not the person who started the execution
    started_by: str = ""  # that person
    why: bool = False  # an answer needs a reason
    typed: str | None = None  # consent needs this text typed
    target: str | None = None  # what it is done to
    count: int | None = None  # to how many
    command: str | None = None  # what could be typed to the same end
    options: tuple[Any, ...] = ()  # ask: what each verdict stands for (JSON types)
    schema: dict[str, Any] | None = None  # form and free ask: what a value must fit
    timed_out: dict[str, Any] | None = None  # what stands in for an answer that did not come; None: that is a failure
    remind_every: float | None = None
    escalate_to: tuple[str, ...] = ()
    escalate_after: float | None = None  # after the opening


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
    value: Any = None  # secrets in it are sealed
    answered_by: str | None = None
    answered_at: float | None = None
    via: str | None = None
    why: str | None = None
    question: Question | None = None  # an author's
    votes: tuple[Vote, ...] = ()

    @property
    def who(self) -> tuple[str, ...]:
        """The people and groups that may answer, before any escalation; empty: not restricted."""
        return self.question.who if self.question is not None else ()

    @property
    def needed(self) -> int:
        """How many more people must consent."""
        return (self.question.at_least if self.question is not None else 1) - len(self.votes)

"""Guardrail: what keeps an execution from changing too much, too often, at the wrong time, or unasked."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

Span = float | str  # seconds, or a text such as "30 min"


class Guardrail(StrEnum):
    """One by one, as refusals and a broken glass name them."""

    CAP = "cap"  # so many changes, or things changed, per execution
    BREAKER = "breaker"  # so many per hour, of one runbook and target
    COOLDOWN = "cooldown"  # since another execution's last change
    FREEZE = "freeze"  # a window in which nothing is changed
    APPROVAL = "approval"  # consent of a person, recorded
    LOCK = "lock"  # one execution per target
    AGE = "age"  # targets that were read too long ago, or are gone
    CLASS = "class"  # a step that says it only reads


#: Those that a person may set aside for one execution. A lock keeps two executions apart, and an effect class is the runbook's own word.
BREAKABLE = (Guardrail.CAP, Guardrail.BREAKER, Guardrail.COOLDOWN, Guardrail.FREEZE, Guardrail.APPROVAL, Guardrail.AGE)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``metadata.holdfast.limits`` of a notebook, and the operator's own in the guardrails file."""

    max_effects: int | None = None  # changes per execution
    max_targets: int | None = None  # different things changed per execution
    max_percent: float | None = None  # of the target set (see ``targets()``), per execution
    effects_per_hour: int | None = None  # of this runbook on this target
    executions_per_hour: int | None = None  # that change something, of this runbook on this target
    cooldown: Span | None = None  # since another execution of this runbook changed something on this target
    max_age: Span | None = None  # of targets when they are acted on
    target: str | None = None  # what the three above are counted for: a text with {parameter}; by default the lock's key
    pools: dict[str, int] = {}  # steps of a pool that may run at a time


class Concurrency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``metadata.holdfast.concurrency`` of a notebook: one execution per target."""

    key: str  # a text with {parameter}; the same text is the same lock, in whatever runbook it stands
    overlap: Literal["queue", "skip", "refuse"] = "queue"  # when another execution has it


class Glass(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word that some guardrails do not count for one execution for a while."""

    who: str
    why: str
    guardrails: tuple[str, ...]
    until: float  # seconds since the epoch
    via: str = ""

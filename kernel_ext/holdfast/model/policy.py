"""Policy: how many attempts, how long, how far apart; caps on effects."""

from __future__ import annotations

from typing import Literal

import msgspec


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``count`` further attempts after the first; the k-th (k = 1, 2 ...) comes ``delay`` (constant), ``delay * k`` (linear) or
    ``delay * 2 ** (k - 1)`` (exponential) seconds after the one before, at most ``max_delay``."""

    count: int = 0
    delay: float = 1.0
    backoff: Literal["constant", "linear", "exponential"] = "exponential"
    max_delay: float = 60.0

    def wait_before(self, k: int) -> float:
        """Seconds before retry ``k`` (1 is the first retry)."""
        factor = {"constant": 1.0, "linear": float(k), "exponential": 2.0 ** min(k - 1, 60)}[self.backoff]
        return min(self.delay * factor, self.max_delay)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What ``cell.metadata.holdfast`` may say of a step."""

    after: tuple[str, ...] | None = None  # None: the step above
    when: str | None = None  # a Python expression over the namespace
    retry: Retry = Retry()
    timeout: float | None = None  # seconds per attempt
    on_failure: str = "suspend"  # "suspend" is not written by authors: exhausted retries ask a person; else stop | continue | STEP
    effects: Literal["read", "idempotent", "write", "destructive"] | None = None
    max_effects: int | None = None
    max_targets: int | None = None  # different things changed by the step
    max_percent: float | None = None  # of the target set
    approval: bool = False  # each change needs a person's recorded consent, also where somebody looks on
    pool: str | None = None

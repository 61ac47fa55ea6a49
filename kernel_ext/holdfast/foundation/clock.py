"""The only module that reads the time, so that tests can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""

    def sleep(self, seconds: float) -> None:
        """Block for ``seconds``."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


_clock: Clock = SystemClock()


def use(clock: Clock) -> Clock:
    """Install ``clock`` for this process and return the one it replaces."""
    global _clock
    previous, _clock = _clock, clock
    return previous


def now() -> float:
    """Seconds since the epoch, UTC."""
    return _clock.now()


def monotonic() -> float:
    """Seconds from an arbitrary start, never going back."""
    return _clock.monotonic()


def sleep(seconds: float) -> None:
    """Block for ``seconds``."""
    _clock.sleep(seconds)


def utc(at: float) -> datetime:
    """``at`` (seconds since the epoch) as an aware datetime."""
    return datetime.fromtimestamp(at, UTC)


def iso(at: float) -> str:
    """``at`` (seconds since the epoch) as RFC 3339 with milliseconds, e.g. ``2026-01-02T03:04:05.678Z``."""
    return utc(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")

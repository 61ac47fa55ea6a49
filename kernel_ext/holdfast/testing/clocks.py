"""Clocks for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.foundation import clock


class StillClock:
    """Time that passes only by sleeping, or by setting :attr:`at` (seconds since the epoch)."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.at

    def monotonic(self) -> float:
        """The same."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Pass so many seconds at once."""
        self.slept.append(round(seconds, 3))
        self.at += seconds


@contextmanager
def still_clock() -> Iterator[StillClock]:
    """Within: the clock that everything in this process reads stands still."""
    made = StillClock()
    former = clock.use(made)
    try:
        yield made
    finally:
        clock.use(former)

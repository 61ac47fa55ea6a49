"""Waiting for what other processes do."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.foundation import clock


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until ``condition()`` is true.

    Args:
        condition: asked fifty times a second.
        what: is waited for, said when it does not come.
        seconds: how long.

    Raises:
        AssertionError: it did not come in time.
    """
    deadline = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        clock.sleep(0.02)

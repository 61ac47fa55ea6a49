"""The time limit of a step."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

from holdfast.errors import StoreError
from holdfast.foundation import clock

_LEAST: Final = 0.2  # seconds between two looks at how long a step has waited

#: Seconds waited since a time (seconds since the epoch).
Waited = Callable[[float], float]


@contextlib.contextmanager
def limited(seconds: float | None, waited: Waited, strike: Callable[[], None]) -> Iterator[None]:
    """Within: ``strike`` is called, once and from another thread, when it takes longer than ``seconds``, time waited not counted.

    Args:
        seconds: None: no limit.
        waited: asked when the time is up; while it cannot tell, the step goes on.
        strike: ends what takes too long.
    """
    over = threading.Event()
    began, ticks = clock.now(), clock.monotonic()

    def watch() -> None:
        left = seconds or 0.0
        while not over.wait(left):
            left = (seconds or 0.0) - (clock.monotonic() - ticks)
            with contextlib.suppress(StoreError):
                left += waited(began)
                if left <= 0:
                    strike()
                    return
            left = max(left, _LEAST)

    if seconds:
        threading.Thread(target=watch, name="holdfast-limit", daemon=True).start()
    try:
        yield
    finally:
        over.set()

"""Writers of several processes take turns.

SQLite lets whoever asks at the right moment write: a process that appends in a loop can keep others out for seconds. Two locks
make it fair: to get the *turn* one must first be at the head of the *queue*, and one leaves the queue only with the turn in hand; who just
wrote has to queue again. This is courtesy only; that two never write at once is SQLite's own business.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final

from holdfast.foundation import clock

_PATIENCE: Final = 2.0  # seconds; then somebody died or was stopped in an odd place, and one writes without a turn
_PAUSES: Final = (0.0001, 0.0001, 0.0002, 0.0003, 0.0005, 0.001)


class Turns:
    """A context in which it is this process's turn; for one thread at a time.

    Args:
        path: of the journal; the two locks are files beside it.

    Raises:
        OSError: the lock files cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._queue = os.open(path.with_name(path.name + ".queue"), os.O_RDWR | os.O_CREAT, 0o600)
        self._turn = os.open(path.with_name(path.name + ".turn"), os.O_RDWR | os.O_CREAT, 0o600)
        self._mine = False
        self._patience = _PATIENCE

    def __enter__(self) -> None:
        if not self._lock(self._queue):
            return
        try:
            self._mine = self._lock(self._turn)
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._mine:
            self._mine = False
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._queue)
        os.close(self._turn)

    def _lock(self, fd: int) -> bool:
        """Whether the lock was got in time. Waits by looking again and again, because a blocked ``flock`` knows no time-out."""
        until: float | None = None
        looks = 0
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                now = clock.monotonic()
                until = until or now + self._patience
                if now > until:
                    self._patience = 0.05  # do not wait as long again for the same stuck process
                    return False
                clock.sleep(_PAUSES[min(looks, len(_PAUSES) - 1)])
                looks += 1
            else:
                self._patience = _PATIENCE
                return True

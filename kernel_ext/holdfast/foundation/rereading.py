"""Files that people edit while a process runs: read again when they have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
Stamp: TypeAlias = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp:
    """What changes when a file is written or replaced.

    Raises:
        OSError: it is not there, or cannot be looked at.
    """
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


class Reread(Generic[T]):
    """What a file says, as it is now. Thread-safe.

    Args:
        path: of the file.
        read: makes its content of it; what it raises, :meth:`current` raises, every time until the file can be used.
    """

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path, self._read = path, read
        self._lock = threading.Lock()
        self._known: tuple[Stamp, T] | None = None

    def current(self) -> T:
        """The content.

        Raises:
            OSError: the file is not there, or cannot be looked at. Whatever ``read`` raises.
        """
        with self._lock:
            stamp = stamp_of(self._path)
            if self._known is None or self._known[0] != stamp:
                self._known = stamp, self._read(self._path)
            return self._known[1]

"""Which files and folders a piece of work was read from, so that one can tell later whether it would come out the same."""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec

_IMPORTS = "<frozen importlib._bootstrap_external>"
_NEVER = ("/proc/", "/dev/", "/sys/")


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """A file or folder as it was; ``stamp`` is None when it was not there."""

    path: str
    stamp: tuple[int, int, int] | None = None

    @property
    def same(self) -> bool:
        """Whether it still is as it was."""
        return stamp_of(self.path) == self.stamp


def stamp_of(path: str) -> tuple[int, int, int] | None:
    """What changes when the file does."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class FilesRead:
    """Notes, between :meth:`begin` and :meth:`end`, what this process opens to read and which folders it lists.

    An audit hook cannot be taken out again: use it in a process of its own.
    """

    def __init__(self) -> None:
        self._on = False
        self._stamps: dict[str, tuple[int, int, int] | None] = {}
        self._modules: set[str] = set()

    def begin(self) -> None:
        """From now on."""
        self._modules = set(sys.modules)
        self._on = True
        sys.addaudithook(self._hear)

    def end(self) -> list[Stamp]:
        """What was read, each as it was before it was read, and the sources of the modules that were imported."""
        self._on = False
        for name in set(sys.modules) - self._modules:
            source = getattr(sys.modules[name], "__file__", None)
            if source:
                self._note(source)
        return [Stamp(path, stamp) for path, stamp in self._stamps.items()]

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(mode, str) and any(c in mode for c in "wxa+") or mode is None and flags & (os.O_WRONLY | os.O_RDWR)
            if isinstance(path, str) and not writes and "__pycache__" not in path:
                self._note(path)
        elif event in ("os.listdir", "os.scandir"):
            # imports list whole folders of the path, in which anything may come and go; the modules themselves are noted at the end
            if sys._getframe(1).f_code.co_filename != _IMPORTS:
                path = "." if arguments[0] is None else arguments[0]
                if isinstance(path, str) and not any(part.startswith(".") for part in path.split(os.sep)[1:]):
                    self._note(path)

    def _note(self, path: str) -> None:
        whole = os.path.abspath(path)
        if whole not in self._stamps and not whole.startswith(_NEVER):
            self._stamps[whole] = stamp_of(whole)

"""Append-only files that hold large blobs beside an SQLite journal.

Each writer appends to a pack of its own (an exclusive ``flock`` says so), so processes never mix their bytes. Nothing refers to
a pack's bytes before they are synced: the index row is committed after, so that a torn tail is only wasted room.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import secrets
from pathlib import Path
from typing import Any, Final

PAGE: Final = mmap.ALLOCATIONGRANULARITY
FULL: Final = 4 << 30  # bytes; a pack beyond this is not appended to any more


class PackWriter:
    """Appends to one pack of ``folder``; not for several threads at once. Raises ``OSError``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = ""
        self._fd = -1
        self._end = 0
        self._dirty = False

    def write(self, data: Any) -> tuple[str, int]:
        """Append at the next page boundary; returns the pack's name and the offset."""
        if self._fd < 0 or self._end > FULL:
            self._open()
        start = -(-self._end // PAGE) * PAGE
        view = memoryview(data).cast("B")
        at = 0
        self._dirty = True
        try:
            while at < view.nbytes:
                at += os.pwrite(self._fd, view[at:], start + at)
        except OSError:
            self._cut(start)
            raise
        self._end = start + view.nbytes
        return self.name, start

    def sync(self) -> None:
        """Make everything written durable. After a failure the pack is given up: the system may have dropped what it held."""
        if not self._dirty:
            return
        try:
            os.fdatasync(self._fd)
        except OSError:
            self.close()
            raise
        self._dirty = False

    def close(self) -> None:
        """Let the pack go; another writer may go on with it."""
        fd, self._fd, self._dirty = self._fd, -1, False  # first, so that an interrupt cannot leave a closed descriptor behind
        if fd >= 0:
            os.close(fd)

    def _cut(self, end: int) -> None:
        """Give the room of a half-written blob back (the disk may be full)."""
        try:
            os.ftruncate(self._fd, end)
        except OSError:
            self.close()

    def _open(self) -> None:
        self.close()
        if not self.folder.is_dir():
            self.folder.mkdir(exist_ok=True)
            _sync_folder(self.folder.parent)
        for path in sorted(self.folder.glob("*.pack")):
            if path.stat().st_size < FULL and self._take(os.open(path, os.O_RDWR), path):
                return
        while self._fd < 0:  # another process may take the new one before we do
            path = self.folder / f"{secrets.token_hex(8)}.pack"
            self._take(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), path)
        _sync_folder(self.folder)

    def _take(self, fd: int, path: Path) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self.name, self._end = path.name, os.fstat(fd).st_size
        self._fd = fd
        return True


class PackReader:
    """Reads packs of ``folder``. Raises ``OSError``; ``ValueError`` when a pack is shorter than its index says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, at: int, size: int) -> memoryview:
        """A copy of ``size`` bytes."""
        data = bytearray(size)
        view = memoryview(data)
        fd = os.open(self.folder / name, os.O_RDONLY)
        try:
            got = 0
            while got < size:
                n = os.preadv(fd, [view[got:]], at + got)
                if n == 0:
                    raise ValueError(f"{name} ends {size - got} bytes too early")
                got += n
        finally:
            os.close(fd)
        return view.toreadonly()


class Mapping:
    """A stretch of private, writable memory into which parts of packs are mapped without copying (copy-on-write)."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, max(size, 1))
        self.view = memoryview(self._memory)[:size]
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))

    def overlay(self, path: Path, at: int, size: int, offset: int) -> bool:
        """Map ``size`` bytes of ``path`` from ``at`` over the memory from ``offset``. False when they do not lie on page
        boundaries; then the caller copies. Raises ``OSError``, ``ValueError`` when the file is too short."""
        if offset % PAGE or at % PAGE or (size % PAGE and offset + size != self.view.nbytes):
            return False
        fd = os.open(path, os.O_RDONLY)
        try:
            if os.fstat(fd).st_size < at + size:
                raise ValueError(f"{path.name} is too short")
            wanted = self._address + offset
            got = _mmap(wanted, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _MAP_FIXED, fd, at)
            if got != wanted:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
        finally:
            os.close(fd)
        return True


_MAP_FIXED: Final = 0x10  # the same on Linux and macOS; Python's mmap has no name for it
_libc = ctypes.CDLL(None, use_errno=True)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

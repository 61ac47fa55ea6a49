"""Standard streams that can be drained, so that what C code, children and threads write to the file descriptors lands in the cell
that wrote it: ipykernel reads the descriptors in a thread and does not wait for it when a cell ends."""

from __future__ import annotations

import codecs
import os
import sys
import threading
from collections.abc import Iterable
from typing import Any

from ipykernel.iostream import OutStream

_READ_BYTES = 65536
_DRAIN_SECONDS = 5.0  # a watcher that does not answer by then is gone


class DrainableOutStream(OutStream):
    """An ``OutStream`` whose watcher of the file descriptor answers when it has read all that was written before a mark."""

    _holdfast_writer: int | None = None

    def _setup_stream_redirects(self, name: str) -> None:
        self._holdfast_prepare()  # before the watcher starts
        base: Any = super()._setup_stream_redirects
        base(name)
        self._holdfast_writer = os.dup(self._original_stdstream_fd)

    def _holdfast_prepare(self) -> None:
        self._holdfast_mark = b"\x00\x1e" + os.urandom(12).hex().encode() + b"\x1e\x00"
        self._holdfast_seen = threading.Semaphore(0)

    def holdfast_adopt(self) -> None:
        """Take a running stream over: the descriptor gets a new pipe; the former watcher sleeps on the old one."""
        reader, writer = os.pipe()
        self._holdfast_prepare()
        os.dup2(writer, self._original_stdstream_fd)
        # The mark goes through a descriptor of our own: a cell may put a file of its own on 1 or 2.
        self._holdfast_writer = writer
        self.watch_fd_thread = threading.Thread(target=self._holdfast_watch, args=(reader,), daemon=True)
        self.watch_fd_thread.start()

    def _watch_pipe_fd(self) -> None:
        if self._fid is not None:
            self._holdfast_watch(self._fid)

    def _holdfast_watch(self, fid: int) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        held = b""
        try:
            while data := os.read(fid, _READ_BYTES):
                if not self._should_watch:
                    break
                pieces, held = split_at_mark(held + data, self._holdfast_mark)
                for piece in pieces:
                    if piece is None:
                        self._holdfast_seen.release()
                    else:
                        self.write(decode(piece))
                        os.write(self._original_stdstream_copy, piece)
        except Exception:
            self._exc = sys.exc_info()

    def holdfast_mark(self) -> bool:
        """Put a mark behind what has been written to the descriptor; False when nobody watches it."""
        if self._holdfast_writer is None or not self._should_watch or not self.watch_fd_thread.is_alive():
            return False
        os.write(self._holdfast_writer, self._holdfast_mark)
        return True

    def holdfast_await(self) -> bool:
        """Wait until the watcher has come to the mark."""
        return self._holdfast_seen.acquire(timeout=_DRAIN_SECONDS)

    def close(self) -> None:
        """Close, the own descriptor too."""
        base: Any = super().close
        base()
        if self._holdfast_writer is not None:
            os.close(self._holdfast_writer)
            self._holdfast_writer = None


def adopt(streams: Iterable[Any]) -> None:
    """Make plain streams of a running kernel drainable."""
    for stream in streams:
        if type(stream) is OutStream and stream._should_watch:
            plain: Any = stream
            plain.flush()
            plain.__class__ = DrainableOutStream
            plain.holdfast_adopt()


def drain(streams: Iterable[object] | None = None) -> None:
    """Wait until all that has been written to standard output and error has been published."""
    both: list[Any] = list(streams) if streams is not None else [sys.stdout, sys.stderr]
    marked = [s for s in both if isinstance(s, DrainableOutStream) and s.holdfast_mark()]
    for one in marked:
        one.holdfast_await()
    for stream in both:
        if hasattr(stream, "flush"):
            stream.flush()


def split_at_mark(data: bytes, mark: bytes) -> tuple[list[bytes | None], bytes]:
    """``data`` as pieces with None for each mark, and the end that may be the beginning of one."""
    pieces: list[bytes | None] = []
    *whole, rest = data.split(mark)
    for part in whole:
        if part:
            pieces.append(part)
        pieces.append(None)
    keep = next((k for k in range(min(len(mark) - 1, len(rest)), 0, -1) if mark.startswith(rest[-k:])), 0)
    if len(rest) > keep:
        pieces.append(rest[: len(rest) - keep])
    return pieces, rest[len(rest) - keep :]

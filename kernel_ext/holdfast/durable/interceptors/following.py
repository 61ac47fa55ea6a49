"""Reading what a supervised command writes, while it writes it."""

from __future__ import annotations

import io
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from holdfast.durable.interceptors import supervisor

#: Bytes of a command's output that a display-only command (``!``, ``%%bash``) shows and records from its beginning, and from its end.
SHOWN_HEAD, SHOWN_TAIL = 4 << 20, 64 << 10

Sink = Callable[[int, bytes], None]


class Tail:
    """Reads a growing file of frames."""

    def __init__(self, folder: Path) -> None:
        self._path, self._rest, self.pid = folder / "out", b"", 0
        self._file: io.FileIO | None = None

    def read(self) -> Iterator[tuple[int, bytes]]:
        """The frames that came since the last call."""
        if self._file is None:
            try:
                self._file = open(self._path, "rb", buffering=0)  # noqa: SIM115 - follows the file over many calls
            except FileNotFoundError:
                return
        while data := self._file.read(1 << 20):
            buffer = self._rest + data
            at = 0
            while len(buffer) - at >= 5 and len(buffer) - at - 5 >= (size := int.from_bytes(buffer[at + 1 : at + 5], "little")):
                frame = buffer[at + 5 : at + 5 + size]
                if buffer[at] == supervisor.PID:
                    self.pid = int(frame)
                else:
                    yield buffer[at], frame
                at += 5 + size
            self._rest = buffer[at:]

    def signal(self, number: int) -> None:
        """Send a signal to the command and what runs under it."""
        if self.pid:
            try:
                os.killpg(self.pid, number)
            except OSError:
                pass


class Child:
    """A supervisor that this process started, and the pipe through which it says that there is something new."""

    def __init__(self, popen: subprocess.Popen[bytes], wake: int) -> None:
        self.popen, self._wake = popen, wake
        self._poll = select.poll()
        self._poll.register(wake, select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Until something is new, ``seconds`` at most."""
        if self._poll.poll(seconds * 1000) and not os.read(self._wake, 1 << 16):
            self._poll.unregister(self._wake)  # it has ended; its last words are in the file
            self._poll.poll(1)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._wake)


class Kept:
    """What is kept of an output: all of it when the cell takes it as a value, else the beginning and the end."""

    def __init__(self, capture: bool, sink: Sink | None) -> None:
        self._capture, self._sink = capture, sink
        self._frames: list[tuple[int, list[bytes]]] = []
        self._size, self._tail, self._cut = 0, bytearray(), 0

    def add(self, stream: int, data: bytes) -> None:
        """Take one frame."""
        room = len(data) if self._capture else max(0, SHOWN_HEAD - self._size)
        head, rest = data[:room], data[room:]
        self._size += len(data)
        if head:
            if not self._frames or self._frames[-1][0] != stream:
                self._frames.append((stream, []))
            self._frames[-1][1].append(head)
            if self._sink is not None:
                self._sink(stream, head)
        if rest:
            self._tail += rest
            excess = max(0, len(self._tail) - SHOWN_TAIL)
            self._cut += excess
            del self._tail[:excess]

    def result(self, file: Path) -> dict[str, Any]:
        """The kept frames, as they are stored."""
        frames = [[stream, b"".join(parts)] for stream, parts in self._frames]
        more: dict[str, Any] = {}
        last = bytes(self._tail)
        if self._cut:
            last = f"\n[... {self._cut:,} bytes not shown here; the whole output is kept in {file} ...]\n".encode() + last
            more = {"cut": self._cut, "file": str(file)}
        if last:
            frames.append([supervisor.STDOUT, last])
            if self._sink is not None:
                self._sink(supervisor.STDOUT, last)
        return {"frames": frames, **more}

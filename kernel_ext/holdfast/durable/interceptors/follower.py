"""Stands in for a supervised command as a child of the kernel: writes what it wrote, ends as it ended.

Started as ``python -ISE follower.py FOLDER``. ``subprocess.Popen`` and asyncio then work with a command that outlives the kernel as they
work with any child: pipes, ``poll``, ``wait``, ``communicate``. After a crash a new follower tells the whole story again.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import select
import signal
import sys

STDERR = 2
UNKNOWN = 125  # the exit status when nobody knows the command's


def held(folder: str) -> bool:
    """Whether the supervisor lives, by its lock."""
    fd = os.open(f"{folder}/start", os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def write(fd: int, data: bytes) -> None:
    """All of ``data``; a reader that went away does not matter."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        return


def copy(folder: str) -> dict[str, int] | None:
    """Copy the frames until the command has ended; None when nobody knows how it did."""
    rest = b""
    with open(f"{folder}/out", "rb", buffering=0) as file:
        while True:
            ended = os.path.exists(f"{folder}/end")
            alive = ended or held(folder)
            while data := file.read(1 << 16):
                rest += data
                while len(rest) >= 5 and len(rest) >= 5 + (size := int.from_bytes(rest[1:5], "little")):
                    stream, frame, rest = rest[0], rest[5 : 5 + size], rest[5 + size :]
                    if stream:
                        write(2 if stream == STDERR else 1, frame)
            if ended:
                with open(f"{folder}/end", "rb") as end:
                    return dict(marshal.load(end))
            if not alive and not os.path.exists(f"{folder}/end"):
                return None
            select.poll().poll(10)


def end(status: int) -> None:
    """End as the command did."""
    if status >= 0:
        os._exit(status)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
    select.poll().poll(1000)


def main(folder: str) -> None:
    """Follow."""
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # signals go to the command; this process ends with it
    outcome = copy(folder)
    if outcome is None:
        write(2, b"holdfast: the supervisor of this command ended without leaving its exit status\n")
        os._exit(UNKNOWN)
    end(outcome.get("status", 127))


if __name__ == "__main__":
    main(sys.argv[1])

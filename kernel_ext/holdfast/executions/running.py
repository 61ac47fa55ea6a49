"""Commands that outlive their kernel: which of an execution run on this machine, and how to end them.

The room ``durable`` starts them under a supervisor and describes the files (``interceptors/supervisor.py``); whoever cancels an
execution needs no more than to find and signal them.
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

_PID_FRAME = 0


def held(folder: Path) -> bool:
    """Whether the supervisor that claimed ``folder`` lives: the system frees its lock when it dies, however it dies."""
    try:
        fd = os.open(folder / "start", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look at once do not take each other for the supervisor
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def send(folder: Path, number: int) -> None:
    """Send a signal to the command that runs in ``folder``, and to what runs under it."""
    try:
        with open(folder / "out", "rb") as file:
            head = file.read(5)
            pid = int(file.read(int.from_bytes(head[1:5], "little"))) if len(head) == 5 and head[0] == _PID_FRAME else 0
        if pid > 0:
            os.killpg(pid, number)
    except (OSError, ValueError):  # it has not begun, or has just ended
        return


def end_commands(state_dir: Path, execution: str, number: int = signal.SIGTERM) -> int:
    """Send a signal to every command of ``execution`` that runs on this machine; returns to how many. For a cancelled execution."""
    running = [p.parent for p in (state_dir / "shell").glob(f"{execution}.*/start") if held(p.parent)]
    for folder in running:
        send(folder, number)
    return len(running)

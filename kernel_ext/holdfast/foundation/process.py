"""Processes told apart: by host, boot, pid *and* start time, so that a pid used again is never mistaken for its former holder."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys

from holdfast.foundation import clock


@functools.cache
def host() -> str:
    """This machine's (or container's) name."""
    return socket.gethostname()


@functools.cache
def boot_id() -> str:
    """What changes when the machine restarts, with the pid namespace where there are several: pids compare only within one."""
    if sys.platform == "linux":
        try:
            with open("/proc/sys/kernel/random/boot_id") as file:
                boot = file.read().strip()
            return f"{boot}.{os.stat('/proc/self/ns/pid').st_ino}"
        except OSError:
            return "unknown"
    return _ask("sysctl", "-n", "kern.boottime") or "unknown"


def start_time(pid: int) -> str | None:
    """When process ``pid`` started, as the operating system writes it; None when there is no such process (a zombie counts as none)."""
    if pid <= 0:
        return None
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    if (_ask("ps", "-o", "stat=", "-p", str(pid)) or "Z").startswith("Z"):
        return None
    return _ask("ps", "-o", "lstart=", "-p", str(pid))


def alive(pid: int, started: str) -> bool:
    """Whether the process ``pid`` that started at ``started`` still exists."""
    return start_time(pid) == started


def end(pid: int, started: str, *, grace: float = 0.0) -> bool:
    """End that very process: SIGTERM, and SIGKILL after ``grace`` seconds (at once for 0). Returns whether it was there."""
    if not alive(pid, started):
        return False
    try:
        if grace > 0:
            os.kill(pid, signal.SIGTERM)
            until = clock.monotonic() + grace
            while clock.monotonic() < until and alive(pid, started):
                clock.sleep(0.02)
        if alive(pid, started):
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return True


def _ask(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return " ".join(done.stdout.split()) or None

"""Processes are told apart by pid and start time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from holdfast.foundation import process


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def test_this_process_is_alive_and_another_start_time_is_not() -> None:
    started = process.start_time(os.getpid())
    assert started is not None
    assert process.alive(os.getpid(), started)
    assert not process.alive(os.getpid(), started + "1")


def test_a_process_that_ended_but_was_not_reaped_is_gone() -> None:
    child = _sleeper()
    started = process.start_time(child.pid)
    assert started is not None
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, still a zombie
    assert process.start_time(child.pid) is None
    child.wait()
    assert process.start_time(child.pid) is None


def test_end_ends_that_process_only() -> None:
    child = _sleeper()
    try:
        started = process.start_time(child.pid)
        assert started is not None
        assert not process.end(child.pid, started + "1")
        assert process.alive(child.pid, started)
        assert process.end(child.pid, started)
        assert child.wait(10) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait()


def test_end_with_grace_lets_the_process_go_by_itself() -> None:
    child = _sleeper()
    started = process.start_time(child.pid)
    assert started is not None
    assert process.end(child.pid, started, grace=10)
    assert child.wait(10) == -signal.SIGTERM

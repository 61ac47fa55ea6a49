"""Ctrl-C, SIGTERM, pause and cancel: what a person asks of a running execution, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from holdfast.testing.sandbox import Sandbox

WAITS = "import pathlib, time\npathlib.Path('inside').touch()\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)\nprint('over')"

DEAF = """import contextlib, pathlib, time
pathlib.Path('inside').touch()
with contextlib.suppress(KeyboardInterrupt): time.sleep(300)
pathlib.Path('swallowed').touch()
with contextlib.suppress(KeyboardInterrupt):
    !echo late >> far
!echo later >> far"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


@pytest.fixture
def worker(sandbox: Sandbox) -> Iterator[subprocess.Popen[str]]:
    notebook = sandbox.notebook(
        "waits",
        [
            ("step:a", "!echo a >> far"),
            ("step:b", WAITS),
            ("step:c", "!echo c >> far"),
            ("step:tidy", "!echo tidy >> far", {"always": True}),
        ],
    )
    process = sandbox.start("run", notebook, "--id", "w", "--json")
    sandbox.until((sandbox.folder / "inside").exists, "inside")
    yield process
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()
    process.communicate()


def far(sandbox: Sandbox) -> list[str]:
    return (sandbox.folder / "far").read_text().split()


def test_ctrl_c_lets_the_cell_end_and_pauses(sandbox: Sandbox, worker: subprocess.Popen[str]) -> None:
    os.kill(worker.pid, signal.SIGINT)
    time.sleep(1.5)
    assert worker.poll() is None, "the running cell is not touched"
    (sandbox.folder / "go").touch()
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 3
    assert "Ctrl-C again" in err
    assert sandbox.holdfast("show", "w", "--json").json["status"] == "paused"
    assert far(sandbox) == ["a"]
    done = sandbox.holdfast("resume", "w", "--json")
    assert done.status == 0, done.err
    assert far(sandbox) == ["a", "c", "tidy"]


def test_ctrl_c_twice_stops_at_once_and_loses_nothing(sandbox: Sandbox, worker: subprocess.Popen[str]) -> None:
    kernel = sandbox.kernels(worker.pid)[0]
    os.kill(worker.pid, signal.SIGINT)
    time.sleep(0.5)
    os.kill(worker.pid, signal.SIGINT)
    worker.communicate(timeout=60)
    assert worker.returncode == 3
    assert not psutil.pid_exists(kernel)
    (sandbox.folder / "go").touch()
    assert sandbox.holdfast("resume", "w").status == 0
    assert far(sandbox) == ["a", "c", "tidy"]


def test_sigterm_suspends_for_whoever_comes_next(sandbox: Sandbox, worker: subprocess.Popen[str]) -> None:
    os.kill(worker.pid, signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 3
    shown = sandbox.holdfast("show", "w", "--json").json
    assert (shown["status"], shown["worker"]) == ("suspended", None)
    assert "SIGTERM" in shown["reason"]
    assert shown["due_at"] is not None
    (sandbox.folder / "go").touch()
    assert sandbox.holdfast("resume", "w").status == 0
    assert far(sandbox) == ["a", "c", "tidy"]


def test_pause_from_outside_says_who_and_why(sandbox: Sandbox, worker: subprocess.Popen[str]) -> None:
    asked = sandbox.holdfast("pause", "w", "--why", "change freeze")
    assert asked.status == 0, asked.err
    (sandbox.folder / "go").touch()
    worker.communicate(timeout=60)
    assert worker.returncode == 3
    shown = sandbox.holdfast("show", "w", "--json").json
    assert shown["status"] == "paused"
    assert "change freeze" in shown["reason"]
    assert sandbox.holdfast("pause", "w").status == 0  # it is what was asked for
    assert sandbox.holdfast("resume", "w").status == 0


def test_cancel_interrupts_the_cell_and_runs_what_always_runs(sandbox: Sandbox, worker: subprocess.Popen[str]) -> None:
    asked = sandbox.holdfast("cancel", "w", "--why", "wrong region")
    assert asked.status == 0, asked.err
    worker.communicate(timeout=60)
    assert worker.returncode == 4
    assert far(sandbox) == ["a", "tidy"]
    shown = sandbox.holdfast("show", "w", "--json").json
    assert shown["status"] == "cancelled"
    assert "wrong region" in shown["reason"]
    again = sandbox.holdfast("resume", "w")
    assert again.status == 4
    refused = sandbox.holdfast("cancel", "w", "--json")
    assert (refused.status, refused.json["error"]["code"]) == (2, "HF253")


def test_a_cell_that_swallows_the_interrupt_makes_no_more_calls(sandbox: Sandbox) -> None:
    process = sandbox.start("run", sandbox.notebook("deaf", [("step:a", "!echo a >> far"), ("step:b", DEAF)]), "--id", "deaf")
    sandbox.until((sandbox.folder / "inside").exists, "inside")
    assert sandbox.holdfast("cancel", "deaf").status == 0
    process.communicate(timeout=120)
    assert process.returncode == 4
    assert (sandbox.folder / "swallowed").exists()
    assert far(sandbox) == ["a"]


def test_what_is_suspended_can_be_paused_and_cancelled_without_a_worker(sandbox: Sandbox, worker: subprocess.Popen[str]) -> None:
    os.kill(worker.pid, signal.SIGTERM)
    worker.communicate(timeout=60)
    paused = sandbox.holdfast("pause", "w", "--json")
    assert (paused.status, paused.json["status"]) == (0, "paused")
    cancelled = sandbox.holdfast("cancel", "w", "--json")
    assert (cancelled.status, cancelled.json["status"]) == (0, "cancelled")
    assert sandbox.holdfast("list", "--json").json[0]["status"] == "cancelled"
    assert far(sandbox) == ["a"]

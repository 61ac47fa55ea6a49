"""Workers that die, stop, or meet: one execution has one worker, whoever takes over repeats nothing, whoever lost it writes nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from holdfast.journal.opening import open_store
from holdfast.model.execution import Status
from holdfast.testing.sandbox import Sandbox

CELLS = [
    ("step:a", "!echo a >> far"),
    ("step:b", "!echo b1 >> far"),
    ("", "!echo b2 >> far\nkept = ['b']"),
    ("step:c", "!echo c >> far\nprint(kept)"),
]


@pytest.fixture(params=["sqlite", "postgres"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    journal = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return Sandbox(tmp_path, journal)


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to end with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.communicate()


def far(sandbox: Sandbox) -> list[str]:
    path = sandbox.folder / "far"
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize(
    "fault",
    ["engine.before_step@2=kill", "engine.after_step@1=kill-tree", "output.during_write@3=kill", "step.after_commit@2=kill-parent"],
)
def test_a_killed_engine_is_replaced_at_once_and_nothing_is_repeated(sandbox: Sandbox, fault: str) -> None:
    notebook = sandbox.notebook("work", CELLS)
    broken = sandbox.holdfast("run", notebook, "--id", "w", faults=fault)
    assert broken.status == -signal.SIGKILL, broken.err
    assert (sandbox.folder / "strikes.log").exists()
    done = sandbox.holdfast("resume", "w", "--json")  # the lease has not run out: the holder is known to be gone
    assert done.status == 0, done.err
    assert far(sandbox) == ["a", "b1", "b2", "c"]
    assert not list((sandbox.folder / ".holdfast" / "outputs").glob(".*.part"))
    assert [s["state"] for s in sandbox.holdfast("show", "w", "--json").json["steps"]] == ["succeeded"] * 3


def test_the_kernels_of_a_dead_worker_are_ended(sandbox: Sandbox, running: list[subprocess.Popen[str]]) -> None:
    source = "import os, signal, time\nopen('pid', 'w').write(str(os.getpid()))\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    source += "import pathlib\nif not pathlib.Path('again').exists():\n    pathlib.Path('again').touch()\n    time.sleep(120)"
    process = sandbox.start("run", sandbox.notebook("long", [("step:a", source)]), "--id", "k", stderr=subprocess.DEVNULL)
    running.append(process)
    sandbox.until((sandbox.folder / "again").exists, "again")
    kernel = int((sandbox.folder / "pid").read_text())
    os.kill(kernel, signal.SIGSTOP)  # it cannot notice by itself that its engine is gone
    process.kill()
    process.wait()
    assert psutil.pid_exists(kernel)
    done = sandbox.holdfast("resume", "k", "--json")
    assert done.status == 0, done.err
    assert not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == psutil.STATUS_ZOMBIE


def test_two_workers_do_not_share_an_execution(sandbox: Sandbox, running: list[subprocess.Popen[str]]) -> None:
    source = "import pathlib, time\npathlib.Path('inside').touch()\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)"
    notebook = sandbox.notebook("alone", [("step:a", source), ("step:b", "!echo b >> far")])
    first = sandbox.start("run", notebook, "--id", "x", "--json", stderr=subprocess.DEVNULL)
    running.append(first)
    sandbox.until((sandbox.folder / "inside").exists, "inside")
    second = sandbox.holdfast("resume", "x")
    assert second.status == 5
    assert "HF250" in second.err
    assert str(first.pid) in second.err
    third = sandbox.holdfast("run", notebook, "--id", "x", "--json")
    assert (third.status, third.json["error"]["code"]) == (5, "HF250")
    (sandbox.folder / "go").touch()
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 0, out
    assert far(sandbox) == ["b"]


def test_a_worker_that_slept_past_its_lease_is_fenced_when_it_wakes(sandbox: Sandbox, running: list[subprocess.Popen[str]]) -> None:
    sandbox.environment["HOLDFAST_LEASE_TTL"] = "2"
    source = "import pathlib, time\npathlib.Path('inside').touch()\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)"
    notebook = sandbox.notebook("sleeper", [("step:a", source), ("step:b", "!echo b >> far"), ("step:c", "!echo c >> far")])
    first = sandbox.start("run", notebook, "--id", "s", "--json")
    running.append(first)
    sandbox.until((sandbox.folder / "inside").exists, "inside")
    kernel = sandbox.kernels(first.pid)[0]
    os.kill(first.pid, signal.SIGSTOP)
    os.kill(kernel, signal.SIGSTOP)
    (sandbox.folder / "inside").unlink()

    def taken_over() -> bool:
        second = sandbox.start("resume", "s", "--json", stderr=subprocess.DEVNULL)
        running.append(second)
        sandbox.until(lambda: (sandbox.folder / "inside").exists() or second.poll() is not None, "inside")
        return second.poll() is None

    sandbox.until(taken_over, "the takeover")  # refused with 5 until the lease has run out
    os.kill(first.pid, signal.SIGCONT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 5, (out, err)
    (sandbox.folder / "go").touch()
    second = running[-1]
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert far(sandbox) == ["b", "c"]
    fences = [e.fence for e in sandbox.entries("s") if e.fence is not None]
    assert fences == sorted(fences), "nobody wrote under an old fence after the new one"


def test_recovery_continues_what_dead_workers_left(sandbox: Sandbox) -> None:
    from holdfast.config import Config
    from holdfast.engine.execute import recover
    from holdfast.executions.waking import orphans

    notebook = sandbox.notebook("left", CELLS)
    assert sandbox.holdfast("run", notebook, "--id", "r1", faults="engine.before_step@3=kill").status == -signal.SIGKILL
    assert sandbox.holdfast("run", notebook, "--id", "r2").status == 0
    config = Config.load(folder=sandbox.folder, environment={k: v for k, v in sandbox.environment.items() if k.startswith("HOLDFAST_")})
    store = open_store(sandbox.journal, key_file=sandbox.key_file)
    try:
        assert [h.id for h in orphans(store)] == ["r1"]
        results = recover(store, config)
        assert [(r.execution, r.status) for r in results] == [("r1", Status.SUCCEEDED)]
        assert orphans(store) == []
    finally:
        store.close()
    assert far(sandbox) == ["a", "b1", "b2"] + ["a", "b1", "b2", "c"] + ["c"]

"""``holdfast worker``: killed wherever it stands, several beside each other, many in the queue: nothing is lost and nothing done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdfast.config import Config
from holdfast.executions.signals import send
from holdfast.executions.start import prepare, start
from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.execution import Status
from holdfast.testing.sandbox import Sandbox

#: Waits once, in the middle; every effect is a line that some other process keeps.
WAITS = "!echo before-$n >> far\nfrom holdfast import wait\nwait(0.5)\n!echo after-$n >> far"
AT_ONCE = {"HOLDFAST_HOLD_FOR": "0"}


def opened(sandbox: Sandbox) -> tuple[Store, Config]:
    config = Config.load(folder=sandbox.folder, environment={k: v for k, v in sandbox.environment.items() if k.startswith("HOLDFAST_")})
    return open_store(config.journal, key_file=config.key_file), config


def queue(sandbox: Sandbox, count: int) -> list[str]:
    """Executions in the queue, the oldest first."""
    book = sandbox.notebook("many", [("parameters", "n = 0"), ("step:a", WAITS)])
    store, config = opened(sandbox)
    ids = []
    for n in range(count):
        execution, _ = start(store, config, prepare(book, parameters={"n": n}), id=f"q{n}", queued=True)
        ids.append(execution.id)
    store.close()
    return ids


def far(sandbox: Sandbox) -> Counter[str]:
    place = sandbox.folder / "far"
    return Counter(place.read_text().split()) if place.exists() else Counter()


def once_each(count: int) -> Counter[str]:
    return Counter(f"{w}-{n}" for n in range(count) for w in ("before", "after"))


def all_done(sandbox: Sandbox, ids: list[str]) -> bool:
    store, _ = opened(sandbox)
    try:
        ended = [h for h in store.headers(statuses=(Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)) if h.id in ids]
    finally:
        store.close()
    assert {h.status for h in ended} <= {Status.SUCCEEDED}, [(h.id, h.reason) for h in ended]
    return len(ended) == len(ids)


def drained(process: Any) -> None:
    process.terminate()
    assert process.wait(60) == 0


SLOW = """
    worker.before_begin@2 engine.before_step@2 engine.after_step lease.during_renewal journal.before_commit checkpoint.before_commit
    timer.after_set timer.before_fire timer.after_fire wait.holding step.after_commit output.during_write shell.after_spawn
"""


@pytest.mark.parametrize(
    "fault", ["worker.before_begin", "engine.before_step", *(pytest.param(f, marks=pytest.mark.slow) for f in SLOW.split())]
)
def test_a_worker_killed_at_a_named_point_is_followed_by_another(tmp_path: Path, fault: str) -> None:
    in_kernel = fault.split(".")[0] in ("timer", "wait", "checkpoint", "step", "shell")
    sandbox = Sandbox(tmp_path, environment={**AT_ONCE, "HOLDFAST_LEASE_TTL": "3"})
    ids = queue(sandbox, 2)
    first = sandbox.start("worker", faults=f"{fault}={'kill-both-once' if in_kernel else 'kill-tree-once'}", stdout=None, stderr=None)
    first.wait(120) if fault != "lease.during_renewal" else sandbox.until(
        lambda: first.poll() is not None or all_done(sandbox, ids), "the kill, or the end", 120
    )
    second = sandbox.start("worker", stdout=None, stderr=None)
    sandbox.until(lambda: all_done(sandbox, ids), "both", 120)
    drained(second)
    assert far(sandbox) == once_each(2)
    for id in ids:
        sandbox.assert_laws(id)
    if first.poll() is None:
        drained(first)


def test_several_workers_with_forked_kernels_are_killed_at_any_moment(tmp_path: Path) -> None:
    """Kernels outlive a worker by half a second; the fence keeps them from doing anything."""
    dice, sandbox = random.Random(4), Sandbox(tmp_path, environment={**AT_ONCE, "HOLDFAST_LEASE_TTL": "3"})
    ids = queue(sandbox, 6)
    workers = [sandbox.start("worker", "--concurrency", "2", stdout=None, stderr=None) for _ in range(2)]
    for round_ in range(3):
        before = sum(far(sandbox).values())
        sandbox.until(lambda before=before: sum(far(sandbox).values()) > before or all_done(sandbox, ids), "something to happen", 120)
        clock.sleep(dice.random())
        victim = workers[round_ % 2]
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        workers[round_ % 2] = sandbox.start("worker", "--concurrency", "2", stdout=None, stderr=None)
    sandbox.until(lambda: all_done(sandbox, ids), "all", 240)
    for worker in workers:
        drained(worker)
    assert far(sandbox) == once_each(6)
    for id in ids:
        sandbox.assert_laws(id)


def test_a_worker_that_is_told_to_end_leaves_no_process_behind(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, environment=AT_ONCE)
    book = sandbox.notebook("long", [("step:a", "!echo begun >> far\nimport time\ntime.sleep(600)")])
    store, config = opened(sandbox)
    start(store, config, prepare(book), id="long", queued=True)
    store.close()
    worker = sandbox.start("worker", stdout=None, stderr=None)
    sandbox.until(lambda: far(sandbox)["begun"], "the step", 120)
    family = psutil.Process(worker.pid).children(recursive=True)
    assert family
    drained(worker)
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive, [p.cmdline() for p in alive]
    assert sandbox.status("long") == "suspended"


def test_an_attached_worker_ends_with_whoever_started_it_and_finishes_what_it_began(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, environment=AT_ONCE)
    book = sandbox.notebook("slow", [("step:a", "import os, time\n!echo begun >> far\nwhile not os.path.exists('gate'): time.sleep(0.05)")])
    store, config = opened(sandbox)
    for id in ("one", "two"):
        start(store, config, prepare(book), id=id, queued=True)
    holder = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE); time.sleep(600)"
    command = [sys.executable, "-m", "holdfast", "worker", "--attached", "--concurrency", "1"]
    with subprocess.Popen([sys.executable, "-c", holder, *command], cwd=tmp_path, env=sandbox.environment) as parent:
        sandbox.until(lambda: far(sandbox)["begun"], "the first", 120)
        (worker,) = psutil.Process(parent.pid).children()
        parent.kill()
    (tmp_path / "gate").touch()
    worker.wait(60)
    assert sorted(h.status for h in store.headers()) == [Status.QUEUED, Status.SUCCEEDED]
    store.close()


@pytest.mark.parametrize("count", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_queue_is_worked_off_in_its_order_and_no_more_at_a_time_than_allowed(tmp_path: Path, count: int) -> None:
    sandbox = Sandbox(tmp_path, environment={**AT_ONCE, "HOLDFAST_WORKER_CONCURRENCY": "3"})
    ids = queue(sandbox, count)
    worker = sandbox.start("worker", stdout=None, stderr=None)
    most, begun = 0, list[str]()
    store, _ = opened(sandbox)
    deadline = clock.monotonic() + 60 + 10 * count
    while not all_done(sandbox, ids):
        assert clock.monotonic() < deadline
        running = [h.id for h in store.headers(statuses=(Status.RUNNING,), newest_first=False)]
        most = max(most, len(running))
        begun += [id for id in running if id not in begun]
        clock.sleep(0.05)
    store.close()
    drained(worker)
    assert 1 <= most <= 3
    assert far(sandbox) == once_each(count)
    late = [abs(ids.index(id) - place) for place, id in enumerate(begun)]
    assert max(late) <= 6, "nobody is passed by for long"


def test_a_signal_on_postgres_is_a_step_soon(tmp_path: Path, postgres_url: str) -> None:
    """Also: a signal to an execution that a live worker of another process has just let go."""
    sandbox = Sandbox(tmp_path, postgres_url, AT_ONCE)
    book = sandbox.notebook(
        "turns", [("step:a", "from holdfast import signal\nfor n in range(3):\n    x = signal('go')\n    !echo got-$x >> far")]
    )
    assert sandbox.holdfast("run", book, "--id", "t").status == 3
    workers = [sandbox.start("worker", stdout=None, stderr=None) for _ in range(2)]
    store, _ = opened(sandbox)
    for n in range(3):
        sandbox.until(lambda: sandbox.status("t") == "suspended", "the wait", 120)
        header = store.header("t")
        assert header is not None
        send(store, header, "go", n, key=f"k{n}", who="t", via="test")
        sandbox.until(lambda n=n: far(sandbox)[f"got-{n}"] == 1, "the step", 120)
    store.close()
    sandbox.until(lambda: sandbox.status("t") == "succeeded", "the end", 120)
    for worker in workers:
        drained(worker)
    assert far(sandbox) == Counter(f"got-{n}" for n in range(3))
    sandbox.assert_laws("t")

"""What is due, whose it is, and who of several begins: the lookup, and the worker's choice from it. No kernel is started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.client import Client
from holdfast.client.waking import note_scheduler, wake_scheduler
from holdfast.config import Config
from holdfast.engine.service import ABANDONED, Service
from holdfast.executions.waking import Scheduler, claim_wake_up, due, scheduler_of
from holdfast.foundation import process
from holdfast.journal.opening import open_store
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.model.lease import Owner


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.load(folder=tmp_path, environment={})


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    opened = open_store(config.journal, key_file=config.key_file)
    yield opened
    opened.close()


def waiting(store: Store, id: str, late: float, status: Status = Status.SUSPENDED, mode: Mode = Mode.BATCH) -> None:
    """An execution that has been due for ``late`` seconds. It has no notebook: whoever begins it is refused."""
    store.create(Execution(id=id, runbook="r", status=status, mode=mode, due_at=store.now() - late))


def driven_by(store: Store, id: str, host: str, home: Path) -> None:
    body = {"what": "scheduler", "launcher": "unheard-of", "home": str(home), "host": host}
    store.append(id, [Draft(kind=Kind.NOTE, body=body)], fence=None)


def begun(store: Store, config: Config, **options: Any) -> list[str]:
    """What one look of a worker begins, in its order."""
    told: list[str] = []
    Service(store, config, tell=lambda id, what, _: told.append(id) if what == "begun" else None, **options).run(once=True)
    return told


def test_the_longest_due_comes_first_and_what_the_caller_leaves_is_passed_by(store: Store) -> None:
    for n, late in enumerate((1, 4, 2, 3)):
        waiting(store, f"e{n}", late, Status.QUEUED if n % 2 else Status.SUSPENDED)
    waiting(store, "later", -60)
    assert [h.id for h in due(store, queued=True)] == ["e1", "e3", "e2", "e0"]
    assert [h.id for h in due(store)] == ["e2", "e0"]
    assert [h.id for h in due(store, queued=True, limit=2, leave={"e1", "e2"})] == ["e3", "e0"]


def test_a_worker_begins_what_is_due_in_its_order_and_no_more_at_a_time_than_it_may(store: Store, config: Config) -> None:
    for n in range(7):
        waiting(store, f"e{n}", 10 - n, Status.QUEUED)
    assert begun(store, config, concurrency=2) == [f"e{n}" for n in range(7)]
    assert {h.status for h in store.headers()} == {Status.FAILED}, "they have no notebook, and say so"


def test_what_others_have_claimed_keeps_nobody_from_what_comes_after(store: Store, config: Config) -> None:
    for n in range(4):
        waiting(store, f"e{n}", 10 - n)
    for id in ("e0", "e1", "e2"):
        assert claim_wake_up(store, id, "somebody who lives")
    assert begun(store, config, concurrency=1) == ["e3"]
    assert [h.id for h in due(store)] == ["e0", "e1", "e2"]


def test_a_scheduler_of_this_machine_is_told_and_one_that_is_gone_is_replaced(store: Store, config: Config, tmp_path: Path) -> None:
    waiting(store, "here", 60)
    driven_by(store, "here", process.host(), tmp_path)
    waiting(store, "fresh", 0.1)
    driven_by(store, "fresh", process.host(), tmp_path)
    waiting(store, "elsewhere", 60)
    driven_by(store, "elsewhere", "another machine", tmp_path)
    waiting(store, "abandoned", ABANDONED + 60)
    driven_by(store, "abandoned", "another machine", tmp_path)
    # nobody is announced under that name on this machine, so it cannot be told: the worker does it
    assert begun(store, config) == ["abandoned", "here"]
    assert [h.id for h in due(store)] == ["elsewhere", "fresh"]


def test_who_drives_an_execution_is_whoever_said_so_last(store: Store, config: Config, tmp_path: Path) -> None:
    waiting(store, "e", 1)
    client = Client(store, config)
    assert scheduler_of(store, "e") is None
    assert not wake_scheduler(client, "e")
    note_scheduler(client, "e", "one", str(tmp_path))
    note_scheduler(client, "e", "two", str(tmp_path / "gone"))
    note_scheduler(client, "e", "one", str(tmp_path))  # said before
    assert scheduler_of(store, "e") == Scheduler(launcher="two", home=str(tmp_path / "gone"), host=process.host())
    assert not wake_scheduler(client, "e"), "its home is gone"


def test_a_session_of_a_person_is_not_a_worker_s(store: Store, config: Config) -> None:
    waiting(store, "lab", 1, mode=Mode.INTERACTIVE)
    assert begun(store, config) == []
    assert due(store) == []


def test_a_claim_is_its_owner_s_until_that_is_gone_and_a_person_s_word_opens_it_again(store: Store) -> None:
    waiting(store, "e", 1)
    me = this_process("worker").text
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        started = process.start_time(other.pid)
        assert started is not None
        them = Owner(host=process.host(), boot=process.boot_id(), pid=other.pid, started=started, label="worker").text
        assert claim_wake_up(store, "e", them)
        assert not claim_wake_up(store, "e", me)
        assert claim_wake_up(store, "e", them), "it was refused, and tries again"
        other.kill()
        other.wait()
    assert claim_wake_up(store, "e", me)
    store.append("e", [Draft(kind=Kind.EXECUTION_RESUMED)], fence=None, change=Change(due_at=store.now()))
    assert claim_wake_up(store, "e", "another one"), "not half a minute later"

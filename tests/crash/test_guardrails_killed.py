"""SIGKILL between check, count, intent and effect: what was interrupted counts once, and caps, breakers and locks hold over processes.
Effects are counted at the server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.guardrails.counting import execution_stream, runbook_stream
from holdfast.guardrails.locks import holder, lock_stream
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.execution import Change, Status
from holdfast.testing import laws
from holdfast.testing.servers.counting import CountingServer

POINTS = ["guardrail.before_check", "guardrail.before_count", "guardrail.after_count", "call.after_intent", "call.after_effect"]


class Far:
    """A journal, a server, and processes that change things there."""

    def __init__(self, folder: Path, journal: str, server: CountingServer) -> None:
        self.folder, self.journal, self.server = folder, journal, server
        self.key = folder / "key"
        self.strikes = folder / "strikes.log"

    def start(self, id: str, about: dict[str, Any], changes: int, faults: str = "") -> subprocess.Popen[str]:
        """A worker on the execution ``id``."""
        given = [self.journal, str(self.key), id, self.server.url, json.dumps(about), str(changes), faults, str(self.strikes)]
        return subprocess.Popen([sys.executable, "-m", "holdfast.testing.guarded", *given], stdout=subprocess.PIPE, text=True)

    def run(self, id: str, about: dict[str, Any], changes: int, faults: str = "") -> tuple[int, list[str]]:
        """Its exit status and the codes of what was refused."""
        process = self.start(id, about, changes, faults)
        out, _ = process.communicate(timeout=120)
        return process.returncode, out.split()

    def reached(self, *ids: str) -> Counter[str]:
        """How often each change arrived."""
        return Counter(r["path"] for r in self.server.requests("PUT") if r["path"].split("/")[1] in ids)

    def open(self) -> Store:
        return open_store(self.journal, key_file=self.key)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingServer]:
    with CountingServer(tmp_path_factory.mktemp("far")) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def far(request: Any, tmp_path: Path, server: CountingServer) -> Far:
    journal = f"sqlite:///{tmp_path}/journal.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    return Far(tmp_path, journal, server)


@pytest.mark.parametrize("point", POINTS)
def test_an_interrupted_change_counts_once(far: Far, point: str) -> None:
    id = f"once-{point}-{far.journal[:4]}"
    about = {"limits": {"max_effects": 2, "effects_per_hour": 50}}
    assert far.run(id, about, 4, f"{point}@2=kill")[0] == -9
    assert far.strikes.read_text().count(point) == 1
    status, refused = far.run(id, about, 4)
    assert (status, refused) == (0, ["HF801", "HF801"])
    arrived = far.reached(id)
    assert set(arrived) == {f"/{id}/0", f"/{id}/1"}
    assert arrived[f"/{id}/1"] == (2 if point == "call.after_effect" else 1)  # it names its result: made again with the same key
    store = far.open()
    try:
        assert [line.data["totals"]["effects:*"] for line in store.streams.lines(execution_stream(id), kinds=("effect",))] == [1, 2]
        assert len(store.streams.lines(runbook_stream("book", ""), kinds=("effect",))) == 2
        assert laws.broken(store.read(id)) == []
    finally:
        store.close()


@pytest.mark.parametrize("point", ["lock.before_take", "lock.after_take"])
def test_a_lock_outlives_its_worker_and_ends_with_its_execution(far: Far, point: str) -> None:
    about = {"concurrency": {"key": "k"}}
    first, second = f"a-{point}-{far.journal[:4]}", f"b-{point}-{far.journal[:4]}"
    assert far.run(first, about, 1, f"{point}=kill")[0] == -9
    taken = point == "lock.after_take"
    assert far.run(second, about, 1) == (0, ["HF807"] if taken else [])
    assert far.run(first, about, 1) == (0, [] if taken else ["HF807"])
    assert far.reached(first, second) == Counter([f"/{first if taken else second}/0"])
    store = far.open()
    try:
        owner = holder(store, "k")
        assert owner is not None
        assert owner.id == (first if taken else second)
        assert len(store.streams.lines(lock_stream("k"))) == 1
        store.append(owner.id, (), fence=None, change=Change(status=Status.CANCELLED))
        assert holder(store, "k") is None
    finally:
        store.close()


def test_processes_that_race_and_are_killed_do_not_pass_the_breaker_together(far: Far) -> None:
    """Four executions want four changes each; five an hour are allowed. Each worker is killed once, at a point of its own."""
    about = {"limits": {"effects_per_hour": 5}}
    ids = [f"race{n}-{far.journal[:4]}" for n in range(4)]
    points = ["guardrail.before_count", "guardrail.after_count", "call.after_intent", "guardrail.before_check"]
    killed = [far.start(id, about, 4, f"{point}=kill") for id, point in zip(ids, points, strict=True)]
    assert [p.wait(120) for p in killed] == [-9] * 4
    again = [far.start(id, about, 4) for id in ids]
    refused = [process.communicate(timeout=120)[0].split() for process in again]
    arrived = far.reached(*ids)
    assert len(arrived) == 5
    assert sum(map(len, refused)) == 4 * 4 - 5
    assert {code for codes in refused for code in codes} == {"HF802"}
    store = far.open()
    try:
        assert len(store.streams.lines(runbook_stream("book", ""), kinds=("effect",))) == 5
        assert all(laws.broken(store.read(id)) == [] for id in ids)
    finally:
        store.close()

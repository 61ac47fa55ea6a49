"""Durable calls beside DBOS and the raw floor of SQLite, all measured in this very run: ``python -m benchmarks.calls [--quick]``.

A *write call* is `@call` around a function that does nothing: what is left is the price of durability, two synced commits with the
request, its fingerprint, an idempotency key and the result. A DBOS step commits once, after the effect, and knows nothing of a step that
was begun. The floor is two synced commits of an equal row and nothing else. A *replay* is a second process that goes through 1,000 recorded
calls again, reading them included. Each number is the median of several rounds, taken in turns, so that a busy moment meets all.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.table import Row, main
from holdfast import call
from holdfast.durable.cell import CellContext
from holdfast.durable.recorder import Recorder
from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.execution import Execution, Status
from holdfast.model.lease import Owner

EXECUTION = "20260101-000000-bench0"
REPLAYED = 1000


@call
def order(n: int) -> dict[str, int]:
    """The effect: none."""
    return {"order": n}


def measure(*, quick: bool = False) -> list[Row]:
    """All rows; about 25 s, or 10 s when quick."""
    rounds, count = (3, 300) if quick else (5, 1000)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        ours, floor = _Ours(base), _Floor(base / "floor.db")
        theirs = _dbos(base, rounds, count)
        writes, floors, replays = [], [], []
        ours.write(100)
        floor.write(100)
        for _ in range(rounds):
            writes.append(ours.write(count))
            floors.append(floor.write(count))
        step = ours.record(REPLAYED)
        replays = [ours.replay(step, REPLAYED) for _ in range(max(rounds, 5))]
        ours.close()
    rate, raw, replay = map(statistics.median, (writes, floors, replays))
    rows = [
        Row(what="durable write calls, SQLite", reference="two synced commits, bare", theirs=raw, ours=rate, unit="/s", wanted="≥ 2,400/s")
    ]
    if theirs is not None:
        rows += [
            Row(
                what="durable write calls, SQLite",
                reference="DBOS steps",
                theirs=theirs["steps"],
                ours=rate,
                unit="/s",
                wanted="≥ 3 × DBOS",
            ),
            Row(what=f"replay of {REPLAYED:,} calls", reference="DBOS", theirs=theirs["replay"], ours=replay, unit="s", wanted="≤ 0.03 s"),
        ]
    else:
        rows.append(Row(what=f"replay of {REPLAYED:,} calls", reference="0.03 s", theirs=0.03, ours=replay, unit="s", wanted="≤ 0.03 s"))
    return rows


class _Ours:
    """A journal, and cells full of calls."""

    def __init__(self, folder: Path) -> None:
        self._url, self._key = f"sqlite:///{folder}/journal.db", folder / "key"
        self._store: Store = open_store(self._url, key_file=self._key)
        self._store.create(Execution(id=EXECUTION, runbook="bench", status=Status.RUNNING))
        self._recorder = Recorder(self._writer())
        self._steps = 0

    def _writer(self) -> Writer:
        lease = self._store.claim(EXECUTION, Owner(host="h", boot="b", pid=os.getpid(), started="1"), 600)
        assert lease is not None
        return Writer(self._store, EXECUTION, lease.fence, "bench")

    def write(self, count: int) -> float:
        """Calls per second in a fresh step."""
        self._steps += 1
        return count / self._run(f"step{self._steps}", count)

    def record(self, count: int) -> str:
        """A step with that many calls, to be replayed."""
        self._run("replayed", count)
        return "replayed"

    def replay(self, step: str, count: int) -> float:
        """Seconds for going through it again, as a new process does."""
        self._recorder = Recorder(self._writer())
        return self._run(step, count)

    def _run(self, step: str, count: int) -> float:
        began = clock.monotonic()
        self._recorder.begin(CellContext(step=step, cell="c", source_digest="d", completed=frozenset()))
        for n in range(count):
            order(n)
        took = clock.monotonic() - began
        self._recorder.end()
        return took

    def close(self) -> None:
        self._store.close()


class _Floor:
    """Two synced commits per call and nothing else."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)")

    def write(self, count: int) -> float:
        body = b"x" * 300
        began = clock.monotonic()
        for _ in range(count):
            self._db.execute("INSERT INTO t (body) VALUES (?)", (body,))
            self._db.execute("INSERT INTO t (body) VALUES (?)", (body[:100],))
        return count / (clock.monotonic() - began)


_DBOS = """
import json, statistics, sys, time
from dbos import DBOS, SetWorkflowID
path, rounds, count, replayed = sys.argv[1], *map(int, sys.argv[2:])
DBOS(config={"name": "bench", "system_database_url": "sqlite:///" + path, "log_level": "ERROR", "enable_otlp": False})

@DBOS.step()
def order(n):
    return {"order": n}

@DBOS.workflow()
def work(count, again):
    began = time.monotonic()
    for n in range(count):
        order(n)
    took = time.monotonic() - began
    if again and not redo:
        redo.append(1)
        raise KeyboardInterrupt  # leave it unfinished, so that it is gone through again
    return took

redo = []
DBOS.launch()
rates = [count / work(count, False) for _ in range(rounds)]
with SetWorkflowID("replayed"):
    try:
        work(replayed, True)
    except BaseException:
        pass
times = []
for n in range(5):
    handle = DBOS.fork_workflow("replayed", replayed + 1)
    times.append(handle.get_result())
print(json.dumps({"steps": statistics.median(rates), "replay": statistics.median(times)}))
DBOS.destroy()
"""


def _dbos(folder: Path, rounds: int, count: int) -> dict[str, float] | None:
    """The same with DBOS, in a process of its own; None when it is not installed."""
    script = folder / "with_dbos.py"
    script.write_text(_DBOS)
    arguments = [str(folder / "dbos.sqlite"), str(rounds), str(count), str(REPLAYED)]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, cwd=folder, check=False)
    if "No module named 'dbos'" in done.stderr:
        return None
    if done.returncode != 0:
        raise RuntimeError(f"the DBOS side failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main(measure, __doc__)

"""The journal against the raw floor of its database, both measured in this very run: ``python -m benchmarks.journal [--quick]``.

The floor is the cheapest durable thing the database can do: one prepared insert into one table, committed and synced. A write call needs
two of them (intent, outcome). Numbers of one run compare with each other; numbers of two machines do not.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg

from benchmarks.table import Row, main
from holdfast.foundation import clock
from holdfast.journal import Store, Writer, open_store
from holdfast.model.entry import Draft, Pending
from holdfast.model.execution import Execution, Status
from holdfast.model.lease import Owner
from holdfast.testing.postgres import PostgresServer, find_binaries

KEY = bytes(range(32))
MIB = 1024 * 1024
INTENT = {
    "kind": "http",
    "operation": "POST http://localhost/v1/things",
    "arguments": {"n": 1},
    "effect": "write",
    "attempt": 1,
    "lane": "main",
    "n": 1,
}
OUTCOME = {"state": "succeeded", "value": {"v": {"status": 200, "body": b"x" * 100}}, "attempt": 1, "started_at": 1.0, "ended_at": 2.0}


def measure(*, quick: bool = False) -> list[Row]:
    """All rows; about 20 s, or 5 s when quick."""
    count = 400 if quick else 2000
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        rows += _sqlite(Path(folder), count)
    if find_binaries() is not None:
        with PostgresServer(fsync=True) as server:
            rows += _postgres(server, count // 2)
    return rows


def _sqlite(folder: Path, count: int) -> list[Row]:
    store = open_store(f"sqlite:///{folder}/journal.db", key=KEY)
    db = sqlite3.connect(folder / "floor.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)")
    body = msgspec.msgpack.encode(INTENT)

    def insert() -> None:
        db.execute("INSERT INTO t (body) VALUES (?)", (body,))

    rows = [
        _writes("SQLite: write calls (intent + outcome)", store, insert, count),
        _replay("SQLite: read 1,000 recorded calls", store, lambda: db.execute("SELECT id, body FROM t LIMIT 2000").fetchall()),
        _checkpoint(store, folder),
        *_suspended("SQLite", store),
    ]
    store.close()
    db.close()
    return rows


def _postgres(server: PostgresServer, count: int) -> list[Row]:
    url = server.create_database()
    store = open_store(url, key=KEY)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mark UUID, body BYTEA)")
        body = msgspec.msgpack.encode(INTENT)

        def insert() -> None:
            db.execute("INSERT INTO t (mark, body) VALUES (%s, %s)", (uuid.uuid4(), body))

        rows = [
            _writes("PostgreSQL: write calls (intent + outcome)", store, insert, count),
            _replay("PostgreSQL: read 1,000 recorded calls", store, lambda: db.execute("SELECT id, body FROM t LIMIT 2000").fetchall()),
            *_suspended("PostgreSQL", store),
        ]
    store.close()
    return rows


def _writes(what: str, store: Store, insert: Callable[[], None], count: int) -> Row:
    """Short rounds of floor and ours take turns, so that a slow moment of the disk meets both; the median round counts."""
    store.create(Execution(id="calls", runbook="bench"))
    lease = store.claim("calls", Owner(host="h", boot="b", pid=1, started="1"), 600)
    assert lease is not None
    writer = Writer(store, "calls", lease.fence, "bench")

    def floor() -> None:
        insert()
        insert()

    def call() -> None:
        key = uuid.uuid4().hex
        writer.append("call.intent", INTENT, step="step", key=key)
        writer.append("call.outcome", OUTCOME, step="step", key=key)

    rounds = [(_rate(floor, count // 20), _rate(call, count // 20)) for _ in range(20)]
    return Row(
        what=what,
        reference="raw floor",
        theirs=statistics.median(r[0] for r in rounds),
        ours=statistics.median(r[1] for r in rounds),
        unit="/s",
    )


def _replay(what: str, store: Store, select: Callable[[], object]) -> Row:
    store.create(Execution(id="replay", runbook="bench"))
    drafts = [Draft(kind="call.intent", step="s", key=f"{n}", body=INTENT) for n in range(1000)]
    drafts += [Draft(kind="call.outcome", step="s", key=f"{n}", body=OUTCOME) for n in range(1000)]
    store.append("replay", drafts, fence=None)
    return Row(
        what=what, reference="raw floor", theirs=_best(select), ours=_best(lambda: [e.data for e in store.read("replay")]), unit="ms"
    )


def _suspended(what: str, store: Store) -> list[Row]:
    """10,000 suspended executions, four of them due; the floor is any one header by id."""
    for n in range(10_000):
        name = f"s{n:06d}"
        store.create(Execution(id=name, runbook="bench", status=Status.SUSPENDED, due_at=1e9 + n))
        if n < 1000:
            store.append(name, [], fence=None, opens=[Pending(execution=name, kind="timer", key="t", due_at=1e9 + n)])
    floor = _best(lambda: store.header("s005000"))
    return [
        Row(
            what=f"{what}: 4 due of 10,000 suspended",
            reference="raw floor",
            theirs=floor,
            ours=_best(lambda: store.headers(statuses=[Status.SUSPENDED], due_before=1e9 + 3.5)),
            unit="ms",
        ),
        Row(
            what=f"{what}: 4 due timers of 1,000",
            reference="raw floor",
            theirs=floor,
            ours=_best(lambda: store.pending(kind="timer", due_before=1e9 + 3.5)),
            unit="ms",
        ),
    ]


def _checkpoint(store: Store, folder: Path) -> Row:
    """43 MiB of new chunks, synced with their entry, as a cell of the large checkpoint benchmark makes them; the floor writes and syncs
    the same bytes to a file. The first rounds pay for memory that the machine hands out for the first time, for both."""
    store.create(Execution(id="large", runbook="bench"))
    fd = os.open(folder / "floor.bin", os.O_RDWR | os.O_CREAT)
    floors: list[float] = []
    ours: list[float] = []
    for n in range(6):
        chunks = [os.urandom(MIB) for _ in range(43)]
        with _timed(floors):
            for k, chunk in enumerate(chunks):
                os.pwrite(fd, chunk, (n * 43 + k) * MIB)
            os.fdatasync(fd)
        with _timed(ours):
            addresses = [store.blobs.put(chunk, compress=False) for chunk in chunks]
            store.append("large", [Draft(kind="cell.completed", body={"chunks": addresses})], fence=None)
    os.close(fd)
    return Row(
        what="SQLite: 43 MiB of new blobs, durable",
        reference="raw floor",
        theirs=statistics.median(floors),
        ours=statistics.median(ours),
        unit="ms",
    )


def _rate(work: Callable[[], object], count: int) -> float:
    spent: list[float] = []
    with _timed(spent):
        for _ in range(count):
            work()
    return count / spent[0] * 1000


def _best(work: Callable[[], object], times: int = 7) -> float:
    spent: list[float] = []
    for _ in range(times):
        with _timed(spent):
            work()
    return min(spent)


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    """Appends milliseconds."""
    begun = clock.monotonic()
    yield
    into.append((clock.monotonic() - begun) * 1000)


if __name__ == "__main__":
    main(measure, __doc__)

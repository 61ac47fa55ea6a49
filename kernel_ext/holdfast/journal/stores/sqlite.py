"""The embedded store: one SQLite file, in WAL mode, every commit synced."""

# ruff: noqa: S608  (only constants of this package are put into SQL; values are bound)

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec

from holdfast.errors import Fenced, OperatorError
from holdfast.foundation import clock, faults
from holdfast.journal.errors import OnceTaken
from holdfast.journal.stores.leasing import Leases, columns, leases_of, step_leases
from holdfast.journal.stores.queries import headers_query, pending_query
from holdfast.journal.stores.rows import HEADER, change_columns, clean, draft_row, entry_of, execution_of, execution_row, unknown_execution
from holdfast.journal.stores.sqlite_blobs import SqliteBlobs
from holdfast.journal.stores.sqlite_db import translate
from holdfast.journal.stores.sqlite_session import SqliteSession
from holdfast.journal.stores.sqlite_streams import SqliteStreams
from holdfast.model.entry import Draft, Entry, Pending
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.lease import Lease, Owner

# The fence and the next seq are looked up by the statement that writes: one statement, one commit, one dirty page.
_APPEND: Final = (
    "INSERT INTO entry (id, kind, step, key, at, fence, actor, once, body) "
    "SELECT coalesce((SELECT max(id) FROM entry WHERE id > ?1 AND id < ?2), ?1) + 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 "
    "FROM execution WHERE no = ?11"
)
_VALID: Final = (
    "(fence = ?7 AND step_leases IS NULL OR EXISTS (SELECT 1 FROM json_each(step_leases) WHERE json_extract(value, '$.fence') = ?7))"
)
_APPEND_FENCED: Final = f"{_APPEND} AND {_VALID}"
_ENTRY: Final = "SELECT id & 4294967295, kind, step, key, at, fence, actor, body FROM entry"
_OPEN: Final = (
    "INSERT INTO pending (no, key, kind, due_at, body) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (no, key) DO UPDATE SET kind = excluded.kind, due_at = excluded.due_at, body = excluded.body"
)
_CREATE: Final = f"INSERT INTO execution ({', '.join(HEADER)}) VALUES ({', '.join('?' * len(HEADER))})"
_LEASES: Final = "SELECT fence, owner, lease_until, step_leases FROM execution WHERE id = ?"
_SET_LEASES: Final = "UPDATE execution SET fence = ?, owner = ?, lease_until = ?, step_leases = ? WHERE id = ?"


class SqliteStore:
    """A journal in one SQLite file (contract: ``holdfast.journal.store.Store``). Opened by ``holdfast.journal.open_store``.

    Args:
        session: the open journal, unlocked with the installation's key.
    """

    def __init__(self, session: SqliteSession) -> None:
        self._session = session
        self.streams = SqliteStreams(session)

    @property
    def blobs(self) -> SqliteBlobs:
        """See ``Store.blobs``."""
        return self._session.blobs

    @property
    def key(self) -> bytes:
        """See ``Store.key``."""
        return self._session.key

    # -- writing

    def create(self, execution: Execution, drafts: Sequence[Draft] = ()) -> Execution:
        """See ``Store.create``."""
        now = clock.now()
        rows = [draft_row(d, now, None) for d in drafts]
        with self._session.writing() as db:
            if execution.key is not None:
                taken = db.execute(f"SELECT no, {_COLUMNS} FROM execution WHERE key = ?", (execution.key,)).fetchone()
                if taken is not None:
                    return execution_of(taken[1:])
            try:
                number = db.execute(_CREATE, execution_row(execution, now)).lastrowid
            except sqlite3.IntegrityError:
                raise OperatorError("HF224", "this execution id is taken", execution=execution.id, cure="Choose another id.") from None
            assert number is not None
            for row in rows:
                self._insert(db, execution.id, number, row)
        created = self.header(execution.id)
        assert created is not None
        return created

    def append(
        self,
        execution: str,
        drafts: Sequence[Draft],
        *,
        fence: int | None,
        change: Change | None = None,
        opens: Sequence[Pending] = (),
        closes: Sequence[str] = (),
    ) -> int:
        """See ``Store.append``."""
        now = clock.now()
        rows = [draft_row(d, now, fence) for d in drafts]
        session = self._session
        session.here()
        number = self._session.number(execution)
        if len(rows) == 1 and change is None and not opens and not closes and not session.blobs.waiting:
            with session.write_lock:
                try:
                    faults.point("journal.before_commit")
                    with session.turns:
                        return self._insert(session.writer, execution, number, rows[0])
                except (sqlite3.Error, OSError) as error:
                    raise translate(error, session.path) from error
        with self._session.writing() as db:
            seq = self._check_fence(db, execution, number, fence)
            for row in rows:
                seq = self._insert(db, execution, number, row)
            for p in opens:
                db.execute(_OPEN, (number, p.key, p.kind, p.due_at, p.body))
            for key in closes:
                db.execute("DELETE FROM pending WHERE no = ? AND key = ?", (number, key))
            if change is not None:
                self._change(db, number, change, now)
        return seq

    def _insert(self, db: sqlite3.Connection, execution: str, number: int, row: tuple[Any, ...]) -> int:
        first = number << 32
        fence = row[4]
        try:
            done = db.execute(_APPEND if fence is None else _APPEND_FENCED, (first, first + (1 << 32), *row, number))
        except sqlite3.IntegrityError as error:
            entry = self.find_once(execution, row[6]) if row[6] is not None else None
            if entry is None:
                raise
            raise OnceTaken(row[6], entry) from error
        if done.rowcount != 1:
            self._check_fence(db, execution, number, fence)
        assert done.lastrowid is not None
        return done.lastrowid - first

    def _check_fence(self, db: sqlite3.Connection, execution: str, number: int, fence: int | None) -> int:
        """The last seq of an execution whose fence is ``fence`` (when one is given)."""
        first = number << 32
        row = db.execute(
            "SELECT fence, owner, step_leases, (SELECT max(id) FROM entry WHERE id > ?1 AND id < ?2) FROM execution WHERE no = ?3",
            (first, first + (1 << 32), number),
        ).fetchone()
        if row is None:
            raise unknown_execution(execution)
        if fence is not None and not leases_of(row[0], row[1], None, row[2]).admit(fence):
            raise Fenced("another worker owns this execution now", execution=execution, fence=fence, current=row[0], owner=row[1])
        return (row[3] or first) - first

    @staticmethod
    def _change(db: sqlite3.Connection, number: int, change: Change, now: float) -> None:
        sets = {"updated_at": now, **change_columns(change)}
        if change.awaits:
            query = f"SELECT count(*) FROM pending WHERE no = ? AND key IN ({', '.join('?' * len(change.awaits))})"
            if db.execute(query, (number, *change.awaits)).fetchone()[0] < len(set(change.awaits)):
                sets["due_at"] = now
        db.execute(f"UPDATE execution SET {', '.join(f'{n} = ?' for n in sets)} WHERE no = ?", (*sets.values(), number))

    # -- reading

    def read(
        self, execution: str, *, after: int = 0, step: str | None = None, kinds: Iterable[str] | None = None, limit: int | None = None
    ) -> list[Entry]:
        """See ``Store.read``."""
        with self._session.reading() as db:
            number = self._session.number(execution)
            first = number << 32
            query, arguments = f"{_ENTRY} WHERE id > ? AND id < ?", [first + after, first + (1 << 32)]
            wanted: list[Any] = []
            if step is not None:
                query += " AND step = ?"
                wanted.append(step)
            if kinds is not None:
                kinds = [str(k) for k in kinds]
                query += f" AND kind IN ({', '.join('?' * len(kinds))})"
                wanted += kinds
            query += " ORDER BY id"
            if limit is not None:
                query += " LIMIT ?"
                wanted.append(limit)
            rows = db.execute(query, (*arguments, *wanted)).fetchall()
        return [entry_of(execution, row) for row in rows]

    def find_once(self, execution: str, once: str) -> Entry | None:
        """See ``Store.find_once``."""
        with self._session.reading() as db:
            number = self._session.number(execution)
            row = db.execute(f"{_ENTRY} WHERE id >> 32 = ? AND once = ?", (number, clean(once))).fetchone()
        return None if row is None else entry_of(execution, row)

    def header(self, execution: str) -> Execution | None:
        """See ``Store.header``."""
        with self._session.reading() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM execution WHERE id = ?", (execution,)).fetchone()
        return None if row is None else execution_of(row)

    def headers(
        self,
        *,
        statuses: Iterable[Status] | None = None,
        runbook: str | None = None,
        path: str | None = None,
        parent: str | None = None,
        key: str | None = None,
        due_before: float | None = None,
        orphaned_at: float | None = None,
        newest_first: bool = True,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[Execution]:
        """See ``Store.headers``."""
        equal = {"runbook": runbook, "path": path, "parent": parent, "key": key}
        query, arguments = headers_query(_COLUMNS, statuses, equal, due_before, orphaned_at, newest_first, limit, after)
        with self._session.reading() as db:
            rows = db.execute(query, arguments).fetchall()
        return [execution_of(row) for row in rows]

    def pending(
        self,
        *,
        kind: str | None = None,
        execution: str | None = None,
        key: str | None = None,
        due_before: float | None = None,
        limit: int | None = None,
    ) -> list[Pending]:
        """See ``Store.pending``."""
        query, arguments = pending_query(kind, execution, key, due_before, limit)
        with self._session.reading() as db:
            rows = db.execute(query, arguments).fetchall()
        return [Pending(execution=e, kind=kd, key=k, due_at=due, body=body) for e, kd, k, due, body in rows]

    # -- leases

    def claim(
        self, execution: str, owner: Owner, ttl: float, *, dead: str | Collection[str] | None = None, step: str | None = None
    ) -> Lease | None:
        """See ``Store.claim``."""
        now = clock.now()
        with self._session.writing() as db:
            held = self._leases(db, execution)
            if held is None:
                raise unknown_execution(execution)
            after = held.claimed(owner.text, now + ttl, now, dead=dead, step=step)
            if after is None:
                return None
            db.execute(_SET_LEASES, (*columns(after), execution))
        return Lease(execution=execution, fence=after.fence, owner=owner.text, until=now + ttl, step=step)

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """See ``Store.renew``."""
        until = clock.now() + ttl
        faults.point("lease.during_renewal")
        with self._session.writing() as db:
            held = self._leases(db, lease.execution)
            after = held.renewed(lease, until) if held is not None else None
            if after is not None:
                db.execute(_SET_LEASES, (*columns(after), lease.execution))
        if after is None:
            raise Fenced("the lease was lost", execution=lease.execution, fence=lease.fence)
        return msgspec.structs.replace(lease, until=until)

    def release(self, lease: Lease) -> None:
        """See ``Store.release``."""
        with self._session.writing() as db:
            held = self._leases(db, lease.execution)
            after = held.released(lease) if held is not None else None
            if after is not None:
                db.execute(_SET_LEASES, (*columns(after), lease.execution))

    def step_leases(self, execution: str) -> list[Lease]:
        """See ``Store.step_leases``."""
        with self._session.reading() as db:
            held = self._leases(db, execution)
        return [] if held is None else step_leases(execution, held)

    @staticmethod
    def _leases(db: sqlite3.Connection, execution: str) -> Leases | None:
        row = db.execute(_LEASES, (execution,)).fetchone()
        return None if row is None else leases_of(*row)

    def now(self) -> float:
        """See ``Store.now``: this machine's clock, as all who use the file share it."""
        return clock.now()

    def close(self) -> None:
        """See ``Store.close``."""
        self._session.close()


# An append leaves the header alone; when it was last written to is read off the newest entry.
_COLUMNS: Final = ", ".join(HEADER).replace(
    "updated_at",
    "max(updated_at, coalesce((SELECT at FROM entry WHERE entry.id > execution.no << 32 AND entry.id < (execution.no + 1) << 32 "
    "ORDER BY entry.id DESC LIMIT 1), 0))",
)

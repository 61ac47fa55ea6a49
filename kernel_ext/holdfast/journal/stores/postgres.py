"""The shared store: PostgreSQL 15 or newer. An append is one statement and one round trip."""

# ruff: noqa: S608  (only constants of this package are put into SQL; values are bound)

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
import psycopg

from holdfast.errors import Fenced, OperatorError
from holdfast.foundation import clock, faults
from holdfast.journal.errors import OnceTaken
from holdfast.journal.stores import postgres_sql as sql
from holdfast.journal.stores.leasing import Leases, columns, leases_of, step_leases
from holdfast.journal.stores.postgres_blobs import PostgresBlobs
from holdfast.journal.stores.postgres_link import Connection
from holdfast.journal.stores.postgres_session import PostgresSession
from holdfast.journal.stores.postgres_streams import PostgresStreams
from holdfast.journal.stores.queries import headers_query, pending_query
from holdfast.journal.stores.rows import HEADER, clean, draft_row, entry_of, execution_of, execution_row, unknown_execution
from holdfast.model.entry import Draft, Entry, Pending
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.lease import Lease, Owner

_COLUMNS: Final = ", ".join(HEADER)


class PostgresStore:
    """A journal in the schema ``holdfast`` of a database (contract: ``holdfast.journal.store.Store``). Opened by
    ``holdfast.journal.open_store``.

    Args:
        session: the open journal, unlocked with the installation's key.
    """

    def __init__(self, session: PostgresSession) -> None:
        self._session = session
        self.streams = PostgresStreams(session)

    @property
    def blobs(self) -> PostgresBlobs:
        """See ``Store.blobs``."""
        return self._session.blobs

    @property
    def key(self) -> bytes:
        """See ``Store.key``."""
        return self._session.key

    def create(self, execution: Execution, drafts: Sequence[Draft] = ()) -> Execution:
        """See ``Store.create``."""
        now, origin = clock.now(), uuid.uuid4()
        header = dict(zip(HEADER, execution_row(execution, now), strict=True))
        values = {**header, "origin": origin, **sql.draft_arrays([draft_row(d, now, None) for d in drafts]), "append": origin}
        self._session.blobs.sync()

        def insert(connection: Connection) -> bool:
            faults.point("journal.before_commit")
            return connection.cursor(binary=True).execute(sql.CREATE, values).fetchone() is not None

        def there(connection: Connection) -> bool | None:
            found = connection.execute("SELECT 1 FROM holdfast.execution WHERE origin = %s AND id = %s", (origin, execution.id)).fetchone()
            return None if found is None else True

        if not self._session.writer.run(insert, settle=there):
            if execution.key is not None:
                for taken in self.headers(key=execution.key):
                    return taken
            raise OperatorError("HF224", "this execution id is taken", execution=execution.id, cure="Choose another id.")
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
        now, mark = clock.now(), uuid.uuid4()
        rows = [draft_row(d, now, fence) for d in drafts]
        query, values = sql.append(execution, rows, now, fence, mark, change, opens, closes)
        self._session.blobs.sync()

        def write(connection: Connection) -> int | None:
            faults.point("journal.before_commit")
            # With `awaits` the header is locked first: the statement then sees what whoever held the lock has closed.
            locked = change is not None and bool(change.awaits)
            with connection.transaction() if locked else contextlib.nullcontext():
                if locked:
                    connection.execute(sql.LOCK, (execution,))
                row = connection.cursor(binary=True).execute(query, values).fetchone()
            return None if row is None else row[0]

        def there(connection: Connection) -> int | None:
            row = connection.execute(sql.FIND_APPEND, (mark, execution)).fetchone()
            return None if row is None else row[0]

        try:
            seq = self._session.writer.run(write, settle=there)
        except psycopg.errors.UniqueViolation as error:
            raise self._taken(execution, drafts, error) from error
        if seq is None:
            raise self._refused(execution, fence)
        return seq

    def _taken(self, execution: str, drafts: Sequence[Draft], error: Exception) -> Exception:
        for draft in drafts:
            if draft.once is not None:
                entry = self.find_once(execution, draft.once)
                if entry is not None:
                    return OnceTaken(draft.once, entry)
        return error

    def _refused(self, execution: str, fence: int | None) -> BaseException:
        header = self.header(execution)
        if header is None:
            return unknown_execution(execution)
        return Fenced("another worker owns this execution now", execution=execution, fence=fence, current=header.fence, owner=header.owner)

    def read(
        self, execution: str, *, after: int = 0, step: str | None = None, kinds: Iterable[str] | None = None, limit: int | None = None
    ) -> list[Entry]:
        """See ``Store.read``."""
        number = self._session.number(execution)
        query, values = f"{sql.ENTRY} WHERE no = %s AND seq > %s", [number, after]
        wanted: list[Any] = []
        if step is not None:
            query += " AND step = %s"
            wanted.append(step)
        if kinds is not None:
            query += " AND kind = ANY(%s)"
            wanted.append([str(k) for k in kinds])
        query += " ORDER BY seq"
        if limit is not None:
            query += " LIMIT %s"
            wanted.append(limit)
        return [entry_of(execution, row) for row in self._session.rows(query, [*values, *wanted])]

    def find_once(self, execution: str, once: str) -> Entry | None:
        """See ``Store.find_once``."""
        rows = self._session.rows(f"{sql.ENTRY} WHERE no = %s AND once = %s", [self._session.number(execution), clean(once)])
        return entry_of(execution, rows[0]) if rows else None

    def header(self, execution: str) -> Execution | None:
        """See ``Store.header``."""
        rows = self._session.rows(f"SELECT {_COLUMNS} FROM holdfast.execution WHERE id = %s", [execution])
        return execution_of(rows[0]) if rows else None

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
        query, values = headers_query(
            _COLUMNS, statuses, equal, due_before, orphaned_at, newest_first, limit, after, schema="holdfast.", mark="%s"
        )
        return [execution_of(row) for row in self._session.rows(query, values)]

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
        query, values = pending_query(kind, execution, key, due_before, limit, schema="holdfast.", mark="%s")
        return [Pending(execution=e, kind=kd, key=k, due_at=due, body=body) for e, kd, k, due, body in self._session.rows(query, values)]

    def claim(
        self, execution: str, owner: Owner, ttl: float, *, dead: str | Collection[str] | None = None, step: str | None = None
    ) -> Lease | None:
        """See ``Store.claim``."""

        def take(held: Leases, now: float) -> Leases | None:
            faults.point("journal.before_commit")
            return held.claimed(owner.text, now + ttl, now, dead=dead, step=step)

        found = self._with_leases(execution, take)  # done twice it only raises the fence once more
        if found is None:
            self._session.number(execution)
            return None
        after, now = found
        return Lease(execution=execution, fence=after.fence, owner=owner.text, until=now + ttl, step=step)

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """See ``Store.renew``."""
        faults.point("lease.during_renewal")
        found = self._with_leases(lease.execution, lambda held, now: held.renewed(lease, now + ttl))
        if found is None:
            raise Fenced("the lease was lost", execution=lease.execution, fence=lease.fence)
        return msgspec.structs.replace(lease, until=found[1] + ttl)

    def release(self, lease: Lease) -> None:
        """See ``Store.release``."""
        self._with_leases(lease.execution, lambda held, _: held.released(lease))

    def step_leases(self, execution: str) -> list[Lease]:
        """See ``Store.step_leases``."""
        rows = self._session.rows(sql.LEASES_READ, [execution])
        return step_leases(execution, leases_of(*rows[0])) if rows else []

    def _with_leases(self, execution: str, change: Callable[[Leases, float], Leases | None]) -> tuple[Leases, float] | None:
        """Change who holds the execution; returns that and the server's time, None when nothing was changed."""

        def work(connection: Connection) -> tuple[Leases, float] | None:
            with connection.transaction():
                row = connection.execute(sql.LEASES, (execution,)).fetchone()
                after = change(leases_of(*row[:4]), row[4]) if row is not None else None
                if row is None or after is None:
                    return None
                connection.execute(sql.SET_LEASES, (*columns(after), execution))
                return after, row[4]

        return self._session.writer.run(work)

    def now(self) -> float:
        """See ``Store.now``: the server's clock."""
        return float(self._session.rows("SELECT extract(epoch FROM clock_timestamp())::float8", [])[0][0])

    def close(self) -> None:
        """See ``Store.close``."""
        self._session.close()

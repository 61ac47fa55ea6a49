"""Streams, cursors and the order of changes in PostgreSQL (contract: ``holdfast.journal.streams.StreamStore``)."""

# ruff: noqa: S608  (only constants of this package are put into SQL; values are bound)

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from holdfast.errors import StoreError
from holdfast.foundation import clock, faults
from holdfast.journal.chain import chain_key, link
from holdfast.journal.stores.lines import CURSOR, LINE, Addition, cursor_of, line_of, line_row, lines_filter, prefix_end
from holdfast.journal.stores.postgres_link import Connection
from holdfast.journal.stores.postgres_session import PostgresSession
from holdfast.journal.stores.rows import clean, entry_of
from holdfast.journal.streams import StreamMoved
from holdfast.model.cursor import Cursor
from holdfast.model.entry import Entry
from holdfast.model.stream import Added, Line, LineDraft

_CHANGES_LOCK: Final = 1212370000  # as in migration 2
_HEAD: Final = b"SELECT no, last, digest FROM holdfast.stream WHERE name = %s"
_BEGIN: Final = b"INSERT INTO holdfast.stream (name, last, digest) VALUES (%s, 0, '') ON CONFLICT DO NOTHING"
_INSERT: Final = f"INSERT INTO holdfast.line (no, seq, {LINE}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)".encode()
_ONCE: Final = f"SELECT seq, {LINE} FROM holdfast.line WHERE no = %s AND once = ANY(%s)".encode()
_MOVE: Final = (
    b"INSERT INTO holdfast.cursor AS c (name, position, version, at, body) SELECT %(name)s, %(position)s, 1, %(at)s, %(body)s "
    b"WHERE %(version)s = 0 OR EXISTS (SELECT 1 FROM holdfast.cursor WHERE name = %(name)s) ON CONFLICT (name) DO UPDATE SET "
    b"position = excluded.position, version = c.version + 1, at = excluded.at, body = excluded.body WHERE c.version = %(version)s"
)
_CHANGES: Final = (
    "SELECT c.n, x.id, e.seq, e.kind, e.step, e.key, e.at, e.fence, e.actor, e.body FROM holdfast.change c "
    "JOIN holdfast.entry e ON e.no = c.no AND e.seq = c.seq JOIN holdfast.execution x ON x.no = c.no "
    "WHERE c.n > %s AND c.n <= %s ORDER BY c.n"
)


class PostgresStreams:
    """The streams of the journal that ``session`` holds open."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    def add(self, stream: str, drafts: Sequence[LineDraft], *, last: int | None = None) -> list[Added]:
        """See ``StreamStore.add``. The row of the stream is locked meanwhile, which puts writers in a row."""
        name = clean(stream) or ""
        addition = Addition(name, drafts, clock.now())
        secret = chain_key(self._session.key)
        tried: list[tuple[int, dict[str, Line], list[Line]]] = []
        self._session.blobs.sync()

        def write(connection: Connection) -> list[Added]:
            tried.clear()
            with connection.transaction():
                cursor = connection.cursor(binary=True)
                head = cursor.execute(_HEAD + b" FOR UPDATE", (name,)).fetchone()
                if head is None:
                    cursor.execute(_BEGIN, (name,))
                    head = cursor.execute(_HEAD + b" FOR UPDATE", (name,)).fetchone()
                assert head is not None
                number, reached, digest = head
                if last is not None and last != reached:
                    raise StreamMoved(stream, reached)
                rows = cursor.execute(_ONCE, (number, addition.onces)).fetchall() if addition.onces else []
                taken = {line.once: line for line in (line_of(name, row[0], row[1:]) for row in rows) if line.once is not None}
                lines = link(digest, addition.fresh(taken, reached), secret)
                if lines:
                    cursor.executemany(_INSERT, [(number, line.seq, *line_row(line)) for line in lines])
                    end = (lines[-1].seq, lines[-1].digest, number)
                    cursor.execute(b"UPDATE holdfast.stream SET last = %s, digest = %s WHERE no = %s", end)
                tried.append((number, taken, lines))
                faults.point("journal.before_commit")
            return addition.result(taken, lines)

        def there(connection: Connection) -> list[Added] | None:
            for number, taken, lines in tried:
                if lines:
                    where = (number, lines[-1].seq, lines[-1].digest)
                    found = connection.execute(b"SELECT 1 FROM holdfast.line WHERE no = %s AND seq = %s AND digest = %s", where).fetchone()
                    if found is not None:
                        return addition.result(taken, lines)
            return None

        return self._session.writer.run(write, settle=there)

    def lines(
        self,
        stream: str,
        *,
        after: int = 0,
        kinds: Iterable[str] | None = None,
        key: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Line]:
        """See ``StreamStore.lines``."""
        name = clean(stream) or ""
        more, values = lines_filter(kinds, key, "%s")
        query = (
            f"SELECT seq, {LINE} FROM holdfast.line WHERE no = (SELECT no FROM holdfast.stream WHERE name = %s) AND seq > %s{more} "
            f"ORDER BY seq {'DESC' if newest_first else 'ASC'}"
        )
        arguments: list[Any] = [name, after, *values]
        if limit is not None:
            query += " LIMIT %s"
            arguments.append(limit)
        return [line_of(name, row[0], row[1:]) for row in self._session.rows(query, arguments)]

    def line_once(self, stream: str, once: str) -> Line | None:
        """See ``StreamStore.line_once``."""
        name = clean(stream) or ""
        query = f"SELECT seq, {LINE} FROM holdfast.line WHERE no = (SELECT no FROM holdfast.stream WHERE name = %s) AND once = %s"
        rows = self._session.rows(query, [name, clean(once)])
        return line_of(name, rows[0][0], rows[0][1:]) if rows else None

    def end(self, stream: str) -> tuple[int, bytes]:
        """See ``StreamStore.end``."""
        rows = self._session.rows("SELECT last, digest FROM holdfast.stream WHERE name = %s", [clean(stream)])
        return (rows[0][0], rows[0][1]) if rows else (0, b"")

    def cursor(self, name: str) -> Cursor:
        """See ``StreamStore.cursor``."""
        rows = self._session.rows(f"SELECT {CURSOR} FROM holdfast.cursor WHERE name = %s", [clean(name)])
        return cursor_of(rows[0]) if rows else Cursor(name=clean(name) or "")

    def cursors(self, prefix: str = "") -> list[Cursor]:
        """See ``StreamStore.cursors``."""
        wanted = clean(prefix) or ""
        query = f"SELECT {CURSOR} FROM holdfast.cursor WHERE name >= %s AND name < %s ORDER BY name"
        return [cursor_of(row) for row in self._session.rows(query, [wanted, prefix_end(wanted)])]

    def move(self, cursor: Cursor, position: int, *, body: bytes | None = None) -> Cursor | None:
        """See ``StreamStore.move``. After a connection was lost during commit, a move that was made may be answered with None: as
        if another had been first, the caller looks again."""
        now, kept = clock.now(), cursor.body if body is None else body
        values = {"name": cursor.name, "position": position, "at": now, "body": kept, "version": cursor.version}

        def write(connection: Connection) -> int:
            faults.point("journal.before_commit")
            return connection.cursor(binary=True).execute(_MOVE, values).rowcount

        if not self._session.writer.run(write):
            return None
        return Cursor(name=cursor.name, position=position, version=cursor.version + 1, at=now, body=kept)

    def changes(self, *, after: int = 0, limit: int | None = None) -> list[tuple[int, Entry]]:
        """See ``StreamStore.changes``. While a writer hangs in its commit, nothing is returned."""
        if not self._session.rows("SELECT 1 FROM holdfast.change WHERE n > %s LIMIT 1", [after]):
            return []
        try:
            settled = self.newest_change()
        except StoreError as error:
            if error.code != "HF501":
                raise
            return []
        query, values = _CHANGES, [after, settled]
        if limit is not None:
            query += " LIMIT %s"
            values.append(limit)
        return [(row[0], entry_of(row[1], row[2:])) for row in self._session.rows(query, values)]

    def newest_change(self) -> int:
        """See ``StreamStore.newest_change``."""
        newest: int = self._session.writer.run(_settled)
        return newest


def _settled(connection: Connection) -> int:
    """The highest number of a change below which nothing can appear any more."""
    with connection.transaction():
        connection.execute(b"SET LOCAL lock_timeout = '2s'")  # who waits for the lock keeps new writers out
        connection.execute(b"SELECT pg_advisory_xact_lock(%s)", (_CHANGES_LOCK,))
        row = connection.execute(b"SELECT coalesce(max(n), 0) FROM holdfast.change").fetchone()
    assert row is not None
    return int(row[0])

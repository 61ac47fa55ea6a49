"""Streams, cursors and the order of changes in SQLite (contract: ``holdfast.journal.streams.StreamStore``)."""

# ruff: noqa: S608  (only constants of this package are put into SQL; values are bound)

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from holdfast.foundation import clock
from holdfast.journal.chain import chain_key, link
from holdfast.journal.stores.lines import CURSOR, LINE, Addition, cursor_of, line_of, line_row, lines_filter, prefix_end
from holdfast.journal.stores.rows import clean, entry_of
from holdfast.journal.stores.sqlite_session import SqliteSession
from holdfast.journal.streams import StreamMoved
from holdfast.model.cursor import Cursor
from holdfast.model.entry import Entry
from holdfast.model.stream import Added, Line, LineDraft

_INSERT: Final = f"INSERT INTO line (id, {LINE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT: Final = f"SELECT id & 4294967295, {LINE} FROM line"
_MOVE: Final = (
    "INSERT INTO cursor (name, position, version, at, body) SELECT ?1, ?2, 1, ?3, ?4 WHERE ?5 = 0 OR EXISTS "
    "(SELECT 1 FROM cursor WHERE name = ?1) ON CONFLICT (name) DO UPDATE SET position = excluded.position, version = version + 1, "
    "at = excluded.at, body = excluded.body WHERE version = ?5"
)


class SqliteStreams:
    """The streams of the journal that ``session`` holds open."""

    def __init__(self, session: SqliteSession) -> None:
        self._session = session

    def add(self, stream: str, drafts: Sequence[LineDraft], *, last: int | None = None) -> list[Added]:
        """See ``StreamStore.add``."""
        name = clean(stream) or ""
        addition = Addition(name, drafts, clock.now())
        with self._session.writing() as db:
            number, reached, digest = _head(db, name)
            if last is not None and last != reached:
                raise StreamMoved(stream, reached)
            if number is None and drafts:
                number = db.execute("INSERT INTO stream (name, last, digest) VALUES (?, 0, x'')", (name,)).lastrowid
            first = (number or 0) << 32
            taken = {once: line for once in addition.onces if (line := _once(db, name, first, once)) is not None}
            lines = link(digest, addition.fresh(taken, reached), chain_key(self._session.key))
            if lines:
                db.executemany(_INSERT, [(first + line.seq, *line_row(line)) for line in lines])
                db.execute("UPDATE stream SET last = ?, digest = ? WHERE no = ?", (lines[-1].seq, lines[-1].digest, number))
        return addition.result(taken, lines)

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
        more, values = lines_filter(kinds, key, "?")
        if key is not None:
            more += " AND id >> 32 = ?"  # so that the index by key serves
        with self._session.reading() as db:
            number, _, _ = _head(db, name)
            if number is None:
                return []
            first = number << 32
            arguments = [first + after, first + (1 << 32), *values]
            if key is not None:
                arguments.append(number)
            query = f"{_SELECT} WHERE id > ? AND id < ?{more} ORDER BY id {'DESC' if newest_first else 'ASC'}"
            if limit is not None:
                query += " LIMIT ?"
                arguments.append(limit)
            rows = db.execute(query, arguments).fetchall()
        return [line_of(name, row[0], row[1:]) for row in rows]

    def line_once(self, stream: str, once: str) -> Line | None:
        """See ``StreamStore.line_once``."""
        name = clean(stream) or ""
        with self._session.reading() as db:
            number, _, _ = _head(db, name)
            return None if number is None else _once(db, name, number << 32, clean(once) or "")

    def end(self, stream: str) -> tuple[int, bytes]:
        """See ``StreamStore.end``."""
        with self._session.reading() as db:
            _, last, digest = _head(db, clean(stream) or "")
        return last, digest

    def cursor(self, name: str) -> Cursor:
        """See ``StreamStore.cursor``."""
        with self._session.reading() as db:
            row = db.execute(f"SELECT {CURSOR} FROM cursor WHERE name = ?", (clean(name),)).fetchone()
        return Cursor(name=clean(name) or "") if row is None else cursor_of(row)

    def cursors(self, prefix: str = "") -> list[Cursor]:
        """See ``StreamStore.cursors``."""
        wanted = clean(prefix) or ""
        query = f"SELECT {CURSOR} FROM cursor WHERE name >= ? AND name < ? ORDER BY name"
        with self._session.reading() as db:
            rows = db.execute(query, (wanted, prefix_end(wanted))).fetchall()
        return [cursor_of(row) for row in rows]

    def move(self, cursor: Cursor, position: int, *, body: bytes | None = None) -> Cursor | None:
        """See ``StreamStore.move``."""
        now, kept = clock.now(), cursor.body if body is None else body
        with self._session.writing() as db:
            done = db.execute(_MOVE, (cursor.name, position, now, kept, cursor.version)).rowcount
        if not done:
            return None
        return Cursor(name=cursor.name, position=position, version=cursor.version + 1, at=now, body=kept)

    def changes(self, *, after: int = 0, limit: int | None = None) -> list[tuple[int, Entry]]:
        """See ``StreamStore.changes``: there is one writer at a time, so numbers are given in the order of commits."""
        query = (
            "SELECT c.n, x.id, e.id & 4294967295, e.kind, e.step, e.key, e.at, e.fence, e.actor, e.body FROM change c "
            "JOIN entry e ON e.id = c.entry JOIN execution x ON x.no = c.entry >> 32 WHERE c.n > ? ORDER BY c.n"
        )
        with self._session.reading() as db:
            rows = db.execute(*((query, (after,)) if limit is None else (query + " LIMIT ?", (after, limit)))).fetchall()
        return [(row[0], entry_of(row[1], row[2:])) for row in rows]

    def newest_change(self) -> int:
        """See ``StreamStore.newest_change``."""
        with self._session.reading() as db:
            newest: int = db.execute("SELECT coalesce(max(n), 0) FROM change").fetchone()[0]
        return newest


def _head(db: sqlite3.Connection, name: str) -> tuple[int | None, int, bytes]:
    """Number, last seq and digest of a stream."""
    row = db.execute("SELECT no, last, digest FROM stream WHERE name = ?", (name,)).fetchone()
    return (None, 0, b"") if row is None else row


def _once(db: sqlite3.Connection, name: str, first: int, once: str) -> Line | None:
    row = db.execute(f"{_SELECT} WHERE id >> 32 = ? AND once = ?", (first >> 32, once)).fetchone()
    return None if row is None else line_of(name, row[0], row[1:])

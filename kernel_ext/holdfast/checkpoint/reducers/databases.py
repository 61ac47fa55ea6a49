"""Reducers for database connections that can be opened again: SQLite files, PostgreSQL by what says itself how it was made."""

from __future__ import annotations

import functools
import sqlite3
from typing import Any

from holdfast.checkpoint.reducer import Context, Reducer


def _sqlite(context: Context, o: sqlite3.Connection) -> Any:
    try:
        rows = o.execute("PRAGMA database_list").fetchall()
    except sqlite3.Error as error:
        raise context.cannot(o, str(error)) from error
    if o.in_transaction:
        raise context.cannot(o, "a transaction is open")
    if len(rows) != 1 or not rows[0][2]:
        raise context.cannot(o, "it is in memory, or has attached or temporary databases")
    if _extras(o) != _plain_extras():
        raise context.cannot(o, "it has functions or collations of its own")
    row_factory = o.row_factory if o.row_factory in (None, sqlite3.Row) or callable(o.row_factory) else None
    return open_sqlite, (rows[0][2], o.isolation_level, row_factory, o.text_factory)


def _extras(connection: sqlite3.Connection) -> set[tuple[object, ...]]:
    factory, connection.row_factory = connection.row_factory, None
    try:
        found = {("function", r[0], r[4]) for r in connection.execute("PRAGMA function_list")}
        return found | {("collation", r[1], 0) for r in connection.execute("PRAGMA collation_list")}
    finally:
        connection.row_factory = factory


@functools.cache
def _plain_extras() -> set[tuple[object, ...]]:
    connection = sqlite3.connect(":memory:")
    try:
        return _extras(connection)
    finally:
        connection.close()


def open_sqlite(path: str, isolation_level: Any, row_factory: Any, text_factory: Any) -> sqlite3.Connection:
    """A connection to the same file; the file must still be there."""
    made = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=isolation_level)
    made.row_factory, made.text_factory = row_factory, text_factory
    return made


def _psycopg(context: Context, o: Any) -> Any:
    made = getattr(o, "holdfast_made", None)
    if made is None:
        raise context.cannot(
            o, "only what `holdfast.integrations.postgres.connect` made is made again: another one's password may be anywhere"
        )
    if o.closed or o.info.transaction_status != 0:
        raise context.cannot(o, "it is closed" if o.closed else "a transaction is open")
    return made


REDUCERS = [Reducer("sqlite3:Connection", _sqlite), Reducer("psycopg:Connection", _psycopg)]

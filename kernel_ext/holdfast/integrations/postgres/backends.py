"""Who does what on the server, and how to end it."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

from holdfast.show.findings import Finding, Rows, judge

_ACTIVITY = """
SELECT pid, usename AS user, datname AS database, application_name AS application, client_addr::text AS client, state,
       wait_event_type AS waits_for, backend_start, query_start, extract(epoch FROM clock_timestamp() - query_start)::float AS seconds,
       pg_blocking_pids(pid) AS blocked_by, left(query, 200) AS query
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle' AND query_start IS NOT NULL
  AND clock_timestamp() - query_start >= make_interval(secs => %s)
ORDER BY query_start
"""
_LOCKS = """
SELECT waiting.pid, left(waiting.query, 120) AS query, blocking.pid AS blocked_by, left(blocking.query, 120) AS blocking_query,
       blocking.state AS blocking_state, extract(epoch FROM clock_timestamp() - waiting.query_start)::float AS seconds
FROM pg_stat_activity AS waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS by(pid)
JOIN pg_stat_activity AS blocking ON blocking.pid = by.pid
ORDER BY waiting.query_start
"""


def long_queries(db: Any, *, seconds: float = 60.0, exclude: Collection[str] = ()) -> Rows:
    """Statements, and transactions left open, that have gone on for at least ``seconds``; the longest first.

    Args:
        exclude: users whose work is left out.
    """
    rows = _rows(db, _ACTIVITY, [seconds])
    return Rows({"object": f"pid {row['pid']}", **row} for row in rows if row["user"] not in exclude)


def locks(db: Any) -> Rows:
    """Who waits for whom: one row per waiting backend and the one that holds it up."""
    return _rows(db, _LOCKS, None)


def check_long_queries(db: Any, *, seconds: float = 300.0, exclude: Collection[str] = ()) -> Finding:
    """Whether nothing has gone on for ``seconds`` or longer."""

    def why(row: Any) -> str:
        held = f", held up by {', '.join(map(str, row['blocked_by']))}" if row["blocked_by"] else ""
        return f"{row['state']} for {row['seconds']:.0f} s{held}"

    return judge(f"statements longer than {seconds:g} s", long_queries(db, seconds=seconds, exclude=exclude), why)


def check_connections(db: Any, *, most: float = 0.8) -> Finding:
    """Whether at most the share ``most`` (0 to 1) of the server's connections is in use."""
    asked = "SELECT count(*) AS used, current_setting('max_connections')::int AS allowed FROM pg_stat_activity"
    (row,) = _rows(db, asked, None)
    return judge("connections", [{"object": "connections", **row}], lambda r: _share(r, most))


def is_running(db: Any, pid: int, started: datetime.datetime, query: datetime.datetime) -> bool:
    """Whether that very statement, or the transaction that was left open after it, is still there.

    Args:
        pid: of the backend.
        started: its ``backend_start``.
        query: its ``query_start``.
    """
    asked = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND backend_start = %s AND query_start = %s AND state <> 'idle'"
    return bool(_rows(db, asked, [pid, started, query]))


def cancel_query(db: Any, pid: int, started: datetime.datetime, *, query: datetime.datetime | None = None) -> bool:
    """Cancel what the backend does now; returns whether there was such a backend.

    Args:
        pid: of the backend.
        started: its ``backend_start``: a backend that took the pid later is left alone.
        query: its ``query_start``: a backend that does something else by now is left alone, too.
    """
    return _end(db, "pg_cancel_backend", pid, started, query)


def terminate_backend(db: Any, pid: int, started: datetime.datetime, *, query: datetime.datetime | None = None) -> bool:
    """End the backend and its connection; its transaction is rolled back. Arguments as for :func:`cancel_query`."""
    return _end(db, "pg_terminate_backend", pid, started, query)


def _end(db: Any, function: str, pid: int, started: datetime.datetime, query: datetime.datetime | None) -> bool:
    which, given = "pid = %s AND backend_start = %s", [pid, started]
    if query is not None:
        which += " AND query_start = %s AND state <> 'idle'"
        given.append(query)
    if not _rows(db, f"SELECT 1 FROM pg_stat_activity WHERE {which}", given):  # noqa: S608 - of our own words
        return False
    # Sent again after a crash it finds nobody, for the first time did it: what it returns is no answer.
    _rows(db, f"SELECT {function}(pid) AS done FROM pg_stat_activity WHERE {which}", given)  # noqa: S608 - one of two
    return True


def _share(row: Any, most: float) -> str:
    return f"{row['used']} of {row['allowed']} connections in use" if row["used"] > most * row["allowed"] else ""


def _rows(db: Any, statement: str, parameters: Any) -> Rows:
    from psycopg.rows import dict_row

    cursor = db.cursor(row_factory=dict_row)
    cursor.execute(statement, parameters)
    return Rows(cursor.fetchall())

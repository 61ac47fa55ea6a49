"""PostgreSQL on psycopg: durable statements and transactions, functions for runbooks, checks.

::

    from holdfast.integrations import postgres

    db = postgres.connect("host=db1 dbname=shop user=ops", password="env:DB_PASSWORD")
    postgres.check_long_queries(db, seconds=300)
"""

from __future__ import annotations

from holdfast.integrations.postgres.backends import (
    cancel_query,
    check_connections,
    check_long_queries,
    is_running,
    locks,
    long_queries,
    terminate_backend,
)
from holdfast.integrations.postgres.connecting import connect

__all__ = [
    "cancel_query",
    "check_connections",
    "check_long_queries",
    "connect",
    "is_running",
    "locks",
    "long_queries",
    "terminate_backend",
]

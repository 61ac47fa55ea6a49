"""The journal's tables in PostgreSQL: made, brought up to this release, or refused."""

from __future__ import annotations

from typing import Final

import psycopg

from holdfast.errors import OperatorError
from holdfast.journal.stores import migrations
from holdfast.journal.stores.postgres_link import Connection

_OLDEST: Final = 150000
_LOCK: Final = 0x484F4C44  # advisory: one process migrates at a time
_TABLES: Final = (
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'holdfast' AND c.relkind = 'r'"
)


def prepare(connection: Connection, name: str, *, create: bool) -> None:
    """Bring the schema up to this release's; safe when several processes do it at once.

    Raises:
        OperatorError: HF222 somebody else's schema `holdfast`, HF223 newer than this Holdfast, HF227 no journal, HF229 not fit.
    """
    _check_server(connection, name)
    scripts = migrations.scripts("postgres")
    latest = scripts[-1][0]
    version = _version(connection, name)
    if version is None and not create:
        raise OperatorError(
            "HF227", "there is no journal in this database", database=name, cure="Start an execution first, or name the right database."
        )
    if version is None or version < latest:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            version = _version(connection, name)  # again, under the lock: another process may have been first
            if version is None:
                connection.execute("CREATE SCHEMA IF NOT EXISTS holdfast")
                connection.execute("CREATE TABLE holdfast.meta (name TEXT PRIMARY KEY, value BYTEA NOT NULL)")
                version = 0
            for number, script in scripts:
                if number > version:
                    connection.execute(script.encode())
                    version = number
            connection.execute(
                "INSERT INTO holdfast.meta VALUES ('schema', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(version).encode(),),
            )
    if version > latest:
        raise migrations.newer_schema(version, latest, database=name)


def _check_server(connection: Connection, name: str) -> None:
    if connection.info.server_version < _OLDEST:
        raise OperatorError(
            "HF229", f"PostgreSQL {connection.info.server_version // 10000} is too old", database=name, cure="Use version 15 or newer."
        )
    row = connection.execute("SELECT pg_is_in_recovery(), current_setting('synchronous_commit')").fetchone()
    if row is None or row[0]:
        raise OperatorError("HF229", "this server is a read-only replica", database=name, cure="Name the primary server.")
    if row[1] != "on":
        raise OperatorError("HF229", f"synchronous_commit stays {row[1]}", database=name, cure="Let this user set synchronous_commit = on.")


def _version(connection: Connection, name: str) -> int | None:
    """The schema's version; None when there is no journal."""
    # not to_regclass: it may answer from a cache that does not know yet what another session made a moment ago
    there = {row[0] for row in connection.execute(_TABLES).fetchall()}
    if "meta" not in there:
        if there:
            raise _foreign(name)
        return None
    try:
        row = connection.execute("SELECT value FROM holdfast.meta WHERE name = 'schema'").fetchone()
    except psycopg.errors.UndefinedColumn:
        row = None
    if row is None:
        raise _foreign(name)
    return int(bytes(row[0]))


def _foreign(name: str) -> OperatorError:
    return OperatorError("HF222", "the schema `holdfast` of this database is not a journal", database=name, cure="Name another database.")

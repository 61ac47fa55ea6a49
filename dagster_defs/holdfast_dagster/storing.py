"""How this process uses Dagster's SQLite databases: patiently, and without compiling each statement anew. Dagster promises neither door."""

from __future__ import annotations

import contextlib
import shutil
import sys
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log, sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from holdfast.errors import StoreError

#: SQLAlchemy engines that a process keeps: that of its run and that of the index.
_ENGINES = 8
#: Seconds that this process waits for a database that another one holds.
_OUTLASTED = 120.0
#: Bytes that a SQLite database needs for a transaction of its own, at least: with less the disk is full.
_NOTHING = 256 << 10


class _Engines:
    """In the place of SQLAlchemy's ``create_engine`` in a module of Dagster's that stores in SQLite."""

    def __init__(self, theirs: Any) -> None:
        self.theirs, self.keeps = theirs, False
        self.kept: dict[str, Any] = {}  # url -> engine

    def __call__(self, url: str, **options: Any) -> Any:
        given = options.get("connect_args") or {}
        options["connect_args"] = {**given, "timeout": max(_OUTLASTED, given.get("timeout", 0.0))}
        if not self.keeps or options.get("poolclass") is not NullPool:
            return self.theirs(url, **options)
        if url not in self.kept:
            while len(self.kept) >= _ENGINES:
                del self.kept[next(iter(self.kept))]
            self.kept[url] = self.theirs(url, **options)
        return self.kept[url]


def outlast_locks() -> None:
    """Let this process wait for two minutes where another one holds a SQLite database of Dagster's: a backup, a machine that is too busy.
    Dagster waits for five seconds at its runs and schedules, and then a run fails that had only to be written down as suspended."""
    modules: tuple[Any, ...] = (sqlite_run_storage, sqlite_schedule_storage, sqlite_event_log, consolidated_sqlite_event_log)
    for module in modules:
        if not isinstance(module.create_engine, _Engines):
            module.create_engine = _Engines(module.create_engine)


def keep_engines() -> None:
    """:func:`outlast_locks`, and let Dagster's SQLite event log use one SQLAlchemy engine per file instead of a new one for each event: an
    engine remembers the statements that it has compiled, and to compile them costs more than to execute them. Connections are opened and
    closed as before."""
    outlast_locks()
    sqlite_event_log.create_engine.keeps = True  # type: ignore[attr-defined]


def is_full(folder: str) -> bool:
    """Whether the disk that holds the folder has no room for another transaction."""
    try:
        return shutil.disk_usage(folder).free < _NOTHING
    except OSError:
        return False


def trouble(instance: dg.DagsterInstance, error: DBAPIError) -> str:
    """What it means that Dagster's storage refused: one line with a code where it is known, and what to do."""
    folder = instance.root_directory
    if type(error.orig).__module__ == "sqlite3" and is_full(folder):
        cure = "Make room; the run then goes on by itself."
        return str(StoreError("HF502", "the disk of Dagster's storage is full", cure=cure, folder=folder))
    return f"Dagster's storage in {folder} refused: {error.orig}"


def complain(text: str) -> None:
    """To the process's own log, which may lie on the disk that is full."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


__all__ = ["complain", "is_full", "keep_engines", "outlast_locks", "trouble"]

"""Connections of the SQLite store: pragmas, migrations, and what SQLite's errors mean."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdfast.errors import HoldfastError, OperatorError, StoreError
from holdfast.foundation import clock
from holdfast.journal.stores import migrations

APPLICATION_ID: Final = 0x484F4C44  # "HOLD", in the file's header
BUSY_SECONDS: Final = 10.0


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; every commit is synced to the disk before it returns."""
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = OFF")
    if readonly:
        db.execute("PRAGMA query_only = ON")
    return db


def open_database(path: Path, *, create: bool) -> sqlite3.Connection:
    """The writer connection of the journal at ``path``, its schema brought up to this release's.

    Raises:
        OperatorError: HF221 cannot be opened or written, HF222 not a journal, HF223 newer than this Holdfast, HF227 there is none.
        StoreError: as of :func:`translated`.
    """
    _look(path, create=create)
    with translated(path):
        db = _connect_first(path)
        try:
            _check_identity(db, path)
            _use_wal(db, path)
            _migrate(db, path)
        except BaseException:
            db.close()
            raise
    return db


def _connect_first(path: Path) -> sqlite3.Connection:
    try:
        return connect(path)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise _foreign(path) from None
        raise


def _look(path: Path, *, create: bool) -> None:
    """Whether there is a file, which is made when it is wanted.

    A file that is there is never opened, not even for a look: closing any descriptor of it drops the locks that all connections of this
    process hold on it, and then another process may take the log away that they write.
    """
    try:
        empty = path.stat().st_size == 0
    except FileNotFoundError:
        if not create:
            raise OperatorError(
                "HF227", "there is no journal", file=str(path), cure="Start an execution first, or name the right journal."
            ) from None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # for its owner only: it holds what commands printed
        except OSError as error:
            raise _unusable(path, error) from error
        return
    except OSError as error:
        raise _unusable(path, error) from error
    if empty and not create:
        raise OperatorError(
            "HF227", "there is no journal, the file is empty", file=str(path), cure="Start an execution first, or name the right journal."
        )


def _unusable(path: Path, error: object) -> OperatorError:
    return OperatorError(
        "HF221",
        f"the journal cannot be opened for writing: {error}",
        file=str(path),
        cure="Give the folder and the file to this user, or name another journal.",
    )


def _foreign(path: Path) -> OperatorError:
    return OperatorError(
        "HF222", "this file is not a Holdfast journal", file=str(path), cure="Name another file; this one was left as it is."
    )


def _check_identity(db: sqlite3.Connection, path: Path) -> None:
    """Refuse somebody else's database before anything in it is changed."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise _foreign(path)


def _use_wal(db: sqlite3.Connection, path: Path) -> None:
    """Switch to WAL. SQLite does not wait for others while it switches, so several first openers have to try again."""
    until = clock.monotonic() + BUSY_SECONDS
    while True:
        try:
            (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or clock.monotonic() > until:
                raise
            clock.sleep(0.01)
            continue
        if mode != "wal":
            raise _unusable(path, "this file system cannot hold a write-ahead log")
        return


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    scripts = migrations.scripts("sqlite")
    latest = scripts[-1][0]
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version < latest:
        with transaction(db):
            (version,) = db.execute("PRAGMA user_version").fetchone()  # again, under the lock: another process may have been first
            for number, script in scripts:
                if number > version:
                    for statement in statements(script):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {number:d}")
                    version = number
            db.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
    if version > latest:
        raise migrations.newer_schema(version, latest, file=str(path))


def statements(script: str) -> Iterator[str]:
    """The statements of an SQL script (sqlite3's own ``executescript`` would commit between them)."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, with the write lock taken at the start."""
    try:
        db.execute("BEGIN IMMEDIATE")  # inside: an interrupt may come right after it
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system raise into errors with a code."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translate(error, path) from error


def translate(error: Exception, path: Path) -> HoldfastError:
    """The error with a code that ``error`` means for the journal at ``path``."""
    where = {"file": str(path)}
    if isinstance(error, OSError):
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            return StoreError("HF502", "the disk is full", cure="Make room; the execution can then be resumed.", **where)
        return StoreError("HF505", f"the journal could not be read or written: {error}", cure="Look at the disk; then resume.", **where)
    code = getattr(error, "sqlite_errorcode", 0) or 0
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return StoreError("HF502", "the disk is full", cure="Make room; the execution can then be resumed.", **where)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            "HF501",
            f"another process held the journal for {BUSY_SECONDS:.0f} s",
            cure="Look for a stuck process or a backup that locks it; then resume.",
            **where,
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "malformed" in str(error):
        return StoreError(
            "HF504",
            f"the journal is damaged: {error}",
            cure="Restore it from a backup; `sqlite3 FILE .recover` saves what can be read.",
            **where,
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return _unusable(path, error)
    return StoreError("HF505", f"the journal could not be read or written: {error}", cure="Look at the disk; then resume.", **where)

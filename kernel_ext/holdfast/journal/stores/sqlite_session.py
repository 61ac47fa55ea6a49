"""What one process holds of an SQLite journal: a writer and a reader connection, their locks, and its blobs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdfast.foundation import faults
from holdfast.journal.stores import sqlite_blobs
from holdfast.journal.stores.rows import unknown_execution
from holdfast.journal.stores.sqlite_blobs import SqliteBlobs
from holdfast.journal.stores.sqlite_db import connect, open_database, transaction, translated
from holdfast.journal.stores.turns import Turns

_FIND_BLOB: Final = "SELECT address, size, stored, encoding, pack, at, data FROM blob WHERE address = ?"


class SqliteSession:
    """Connections to the journal at ``path``; a child of a fork gets connections of its own.

    Args:
        path: the file.
        create: whether a missing journal is made.

    Raises:
        OperatorError, StoreError: see ``open_database``.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        self.key = b""
        self._numbers: dict[str, int] = {}
        self._connect(create=create)

    def _connect(self, *, create: bool) -> None:
        self._pid = os.getpid()
        self._closed = False
        self.write_lock, self._read_lock = threading.RLock(), threading.RLock()
        self.writer = open_database(self.path, create=create)
        with translated(self.path):
            self._reader = connect(self.path, readonly=True)
            self.turns = Turns(self.path)

    def unlock(self, key: bytes) -> None:
        """Take the installation's key, which the blobs need."""
        self.key = key
        self._blobs = SqliteBlobs(self.path.with_name(self.path.name + ".blobs"), key, self._find_blob, self._commit_blobs)

    def here(self) -> None:
        """Called before anything else is used: a child of a fork must not touch its parent's connections, not even to close them."""
        if os.getpid() == self._pid:
            return
        for connection in (self.writer, self._reader):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._blobs.abandon()
        self.turns.close()  # only this process's copies
        self._connect(create=False)
        self.unlock(self.key)

    @property
    def blobs(self) -> SqliteBlobs:
        """The blob store."""
        self.here()
        return self._blobs

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The reader connection, for one thread at a time."""
        self.here()
        with self._read_lock, translated(self.path):
            yield self._reader

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction with the database's write lock held from its start, which commits blob rows that wait together with what
        the body writes. Nothing is written when the body or the commit raises."""
        self.here()
        with self.write_lock, translated(self.path):
            db = self.writer
            rows = self._blobs.synced_rows() if self._blobs.waiting else []
            with self.turns, transaction(db):
                yield db
                if rows:
                    db.executemany(sqlite_blobs.INSERT, rows)
                faults.point("journal.before_commit")
            if rows:
                self._blobs.committed(rows)

    def number(self, execution: str) -> int:
        """The number that the entries of ``execution`` carry. Raises ``LookupFailedError`` HF601."""
        number = self._numbers.get(execution)
        if number is None:
            with self.reading() as db:
                row = db.execute("SELECT no FROM execution WHERE id = ?", (execution,)).fetchone()
            if row is None:
                raise unknown_execution(execution)
            number = self._numbers[execution] = row[0]
        return number

    def meta(self, name: str, value: bytes | None = None) -> bytes | None:
        """A fact about the journal itself; with a value, it is set unless it is there. Returns the one that counts."""
        if value is not None:
            with self.write_lock, translated(self.path):
                self.writer.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (name, value))
        with self.reading() as db:
            row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Close the connections; in a child of a fork, nothing."""
        if os.getpid() != self._pid:
            return
        with self.write_lock, self._read_lock:
            if self.key:
                self._blobs.close()
            self._reader.close()
            self.writer.close()
            if not self._closed:
                self._closed = True
                self.turns.close()

    def _find_blob(self, address: bytes) -> sqlite_blobs.Row | None:
        with self.reading() as db:
            row: sqlite_blobs.Row | None = db.execute(_FIND_BLOB, (address,)).fetchone()
        return row

    def _commit_blobs(self) -> None:
        with self.writing():
            pass

"""Blobs of the SQLite store: small ones in the database, large ones in packs beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from typing_extensions import Buffer

from holdfast.journal.stores import compression
from holdfast.journal.stores.packs import Mapping, PackReader, PackWriter
from holdfast.journal.stores.sqlite_db import translated
from holdfast.journal.stores.verification import address_of, check, damaged, missing

IN_DATABASE: Final = 64 * 1024  # bytes as stored; above, into a pack

#: ``(address, size, stored, encoding, pack, at, data)``: a row of table ``blob``.
Row = tuple[bytes, int, int, int, str | None, int | None, Any]
INSERT: Final = "INSERT OR IGNORE INTO blob (address, size, stored, encoding, pack, at, data) VALUES (?, ?, ?, ?, ?, ?, ?)"


class SqliteBlobs:
    """The ``BlobStore`` of ``SqliteStore``; made by it.

    Args:
        folder: where packs lie.
        key: the installation's.
        find: the committed row of an address, or None.
        commit: commits rows (in a transaction of their own).
    """

    def __init__(self, folder: Path, key: bytes, find: Callable[[bytes], Row | None], commit: Callable[[], None]) -> None:
        self._folder, self._key, self._find, self._commit = folder, key, find, commit
        self._lock = threading.RLock()
        self._waiting: dict[bytes, Row] = {}  # written, not yet committed
        self._writer, self._reader = PackWriter(folder), PackReader(folder)

    def put(self, data: Buffer, *, compress: bool = True) -> bytes:
        """See ``BlobStore.put``."""
        view = memoryview(data).cast("B")
        address = address_of(view, self._key)
        with self._lock, translated(self._folder):
            if address not in self._waiting and self._find(address) is None:
                encoding, stored = compression.pack(view, compress=compress)
                size, length = view.nbytes, memoryview(stored).nbytes
                if length <= IN_DATABASE:
                    self._waiting[address] = (address, size, length, encoding, None, None, bytes(stored))
                else:
                    name, at = self._writer.write(stored)
                    self._waiting[address] = (address, size, length, encoding, name, at, None)
        return address

    def get(self, address: bytes) -> memoryview:
        """See ``BlobStore.get``."""
        row = self._row(address)
        with translated(self._folder):
            return self._verified(row)

    def map(self, addresses: Sequence[bytes], sizes: Sequence[int]) -> memoryview:
        """See ``BlobStore.map``."""
        mapping = Mapping(sum(sizes))
        offset = 0
        for address, size in zip(addresses, sizes, strict=True):
            row = self._row(address)
            if row[1] != size:
                raise damaged(address, f"it has {row[1]} bytes, {size} were expected")
            part = mapping.view[offset : offset + size]
            with translated(self._folder):
                if not (row[3] == compression.RAW and row[4] is not None and self._overlaid(mapping, row, offset)):
                    part[:] = self._verified(row)
                else:
                    check(address, part, self._key)
            offset += size
        return mapping.view

    def sync(self) -> None:
        """See ``BlobStore.sync``."""
        if self._waiting:
            self._commit()

    @property
    def waiting(self) -> bool:
        """Whether rows wait to be committed."""
        return bool(self._waiting)

    def synced_rows(self) -> list[Row]:
        """The rows to commit; what they point to is on the disk. Raises ``OSError``."""
        with self._lock:
            try:
                self._writer.sync()
            except OSError:
                self._waiting = {a: row for a, row in self._waiting.items() if row[4] is None}  # those in the pack may be lost
                raise
            return list(self._waiting.values())

    def committed(self, rows: Sequence[Row]) -> None:
        """Those rows are committed."""
        with self._lock:
            for row in rows:
                self._waiting.pop(row[0], None)

    def close(self) -> None:
        """Let the pack go."""
        with self._lock:
            self._writer.close()

    def abandon(self) -> None:
        """In a child of a fork: close only this process's copy of the descriptor; the parent keeps its pack. Takes no lock, as a
        thread that is not here may hold it."""
        self._writer.close()

    def _row(self, address: bytes) -> Row:
        row = self._waiting.get(address) or self._find(address)
        if row is None:
            raise missing(address)
        return row

    def _overlaid(self, mapping: Mapping, row: Row, offset: int) -> bool:
        assert row[4] is not None
        assert row[5] is not None
        try:
            return mapping.overlay(self._folder / row[4], row[5], row[1], offset)
        except (ValueError, FileNotFoundError) as error:
            raise damaged(row[0], str(error)) from error

    def _verified(self, row: Row) -> memoryview:
        address, size, length, encoding, pack, at, data = row
        try:
            stored = data if pack is None or at is None else self._reader.read(pack, at, length)
            plain = memoryview(compression.unpack(encoding, stored, size))
        except (ValueError, FileNotFoundError) as error:
            raise damaged(address, str(error)) from error
        check(address, plain, self._key)
        return plain

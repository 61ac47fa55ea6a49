"""Blobs of the PostgreSQL store: rows of at most 1 MiB, written in batches ahead of the entries that name them."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Sequence
from typing import Any, Final

from typing_extensions import Buffer

from holdfast.journal.stores import compression
from holdfast.journal.stores.postgres_link import Link
from holdfast.journal.stores.verification import address_of, check, damaged, missing

PART: Final = 1024 * 1024
_BATCH: Final = 8 * 1024 * 1024  # bytes held back at most
_INSERT: Final = (
    "INSERT INTO holdfast.blob (address, part, parts, size, encoding, data) "
    "SELECT * FROM unnest(%s::bytea[], %s::int[], %s::int[], %s::bigint[], %s::smallint[], %s::bytea[]) ON CONFLICT DO NOTHING"
)
_SELECT: Final = "SELECT address, parts, size, encoding, data FROM holdfast.blob WHERE address = ANY(%s) ORDER BY address, part"

Row = tuple[bytes, int, int, int, int, bytes]  # as in _INSERT


class PostgresBlobs:
    """The ``BlobStore`` of ``PostgresStore``; made by it."""

    def __init__(self, writer: Link, reader: Link, key: bytes) -> None:
        self._writer, self._reader, self._key = writer, reader, key
        self._lock = threading.RLock()
        self._waiting: dict[bytes, list[Row]] = {}
        self._bytes = 0

    def put(self, data: Buffer, *, compress: bool = True) -> bytes:
        """See ``BlobStore.put``."""
        view = memoryview(data).cast("B")
        address = address_of(view, self._key)
        with self._lock:
            if address in self._waiting or self._there(address):
                return address
            encoding, stored = compression.pack(view, compress=compress)
            packed = memoryview(stored)
            parts = max(1, -(-packed.nbytes // PART))
            self._waiting[address] = [
                (address, n, parts, view.nbytes, encoding, bytes(packed[n * PART : (n + 1) * PART])) for n in range(parts)
            ]
            self._bytes += packed.nbytes
            if self._bytes > _BATCH:
                self.sync()
        return address

    def get(self, address: bytes) -> memoryview:
        """See ``BlobStore.get``."""
        return self._many([address])[address]

    def map(self, addresses: Sequence[bytes], sizes: Sequence[int]) -> memoryview:
        """See ``BlobStore.map``; always a copy."""
        total = sum(sizes)
        out = memoryview(mmap.mmap(-1, max(total, 1)))[:total]  # zeroed on demand, unlike a bytearray
        offset = 0
        for start in range(0, len(addresses), 16):
            found = self._many(addresses[start : start + 16])
            for address, size in zip(addresses[start : start + 16], sizes[start : start + 16], strict=True):
                if found[address].nbytes != size:
                    raise damaged(address, f"it has {found[address].nbytes} bytes, {size} were expected")
                out[offset : offset + size] = found[address]
                offset += size
        return out

    def sync(self) -> None:
        """See ``BlobStore.sync``. Content-addressed rows may be committed ahead of the entries that name them, and twice."""
        with self._lock:
            if not self._waiting:
                return
            # in the order of addresses, so that two processes with the same blobs cannot block each other in a circle
            rows = [row for address in sorted(self._waiting) for row in self._waiting[address]]

            columns = [list(column) for column in zip(*rows, strict=True)]
            self._writer.run(lambda c: c.cursor(binary=True).execute(_INSERT, columns).rowcount)
            self._waiting.clear()
            self._bytes = 0

    def _there(self, address: bytes) -> bool:
        return (
            self._reader.run(lambda c: c.execute("SELECT 1 FROM holdfast.blob WHERE address = %s AND part = 0", (address,)).fetchone())
            is not None
        )

    def _many(self, addresses: Sequence[bytes]) -> dict[bytes, memoryview]:
        with self._lock:
            rows: dict[bytes, list[tuple[Any, ...]]] = {a: [r[2:] for r in self._waiting[a]] for a in addresses if a in self._waiting}
        absent = [a for a in addresses if a not in rows]
        if absent:
            for address, *rest in self._reader.run(lambda c: c.cursor(binary=True).execute(_SELECT, (absent,)).fetchall()):
                rows.setdefault(bytes(address), []).append(tuple(rest))
        return {a: self._verified(a, rows.get(a)) for a in addresses}

    def _verified(self, address: bytes, rows: list[tuple[Any, ...]] | None) -> memoryview:
        if not rows:
            raise missing(address)
        parts, size, encoding, _ = rows[0]
        if len(rows) != parts:
            raise damaged(address, f"{parts - len(rows)} of its {parts} parts are missing")
        stored = rows[0][3] if parts == 1 else b"".join(r[3] for r in rows)
        try:
            plain = memoryview(compression.unpack(encoding, stored, size))
        except ValueError as error:
            raise damaged(address, str(error)) from error
        check(address, plain, self._key)
        return plain.toreadonly()

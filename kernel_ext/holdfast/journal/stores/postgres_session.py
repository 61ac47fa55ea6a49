"""What one process holds of a PostgreSQL journal: a writing and a reading connection, and its blobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.journal.stores.postgres_blobs import PostgresBlobs
from holdfast.journal.stores.postgres_link import Link, server_name
from holdfast.journal.stores.postgres_schema import prepare
from holdfast.journal.stores.rows import unknown_execution


class PostgresSession:
    """Connections to the journal in the database at ``url``.

    Args:
        url: of the database.
        create: whether a missing journal is made.

    Raises:
        OperatorError, StoreError: see ``open_store``.
    """

    def __init__(self, url: str, *, create: bool) -> None:
        self.writer, self._reader = Link(url), Link(url)
        self.key = b""
        self._numbers: dict[str, int] = {}
        try:
            self.writer.open()
            self.writer.run(lambda c: prepare(c, server_name(url), create=create))
        except BaseException:
            self.close()
            raise

    def unlock(self, key: bytes) -> None:
        """Take the installation's key, which the blobs need."""
        self.key = key
        self.blobs = PostgresBlobs(self.writer, self._reader, key)

    def rows(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What a reading statement returns."""
        return self._reader.run(lambda c: c.cursor(binary=True).execute(query.encode(), values).fetchall())

    def number(self, execution: str) -> int:
        """The number that the entries of ``execution`` carry. Raises ``LookupFailedError`` HF601."""
        number = self._numbers.get(execution)
        if number is None:
            rows = self.rows("SELECT no FROM holdfast.execution WHERE id = %s", [execution])
            if not rows:
                raise unknown_execution(execution)
            number = self._numbers[execution] = rows[0][0]
        return number

    def meta(self, name: str, value: bytes | None = None) -> bytes | None:
        """A fact about the journal itself; with a value, it is set unless it is there. Returns the one that counts."""
        if value is not None:
            self.writer.run(lambda c: c.execute("INSERT INTO holdfast.meta VALUES (%s, %s) ON CONFLICT DO NOTHING", (name, value)).rowcount)
        rows = self.rows("SELECT value FROM holdfast.meta WHERE name = %s", [name])
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self.writer.close()

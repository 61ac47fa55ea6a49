"""The store contract on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast.testing.contracts import store, store_blobs, store_leases, store_lists, store_opening, store_streams

#: What somebody with the database in hand, but without the installation's key, may do to a stream.
ALTERATIONS = {
    "change": ["UPDATE {schema}line SET actor = 'somebody else' WHERE {place} = {seq}"],
    "remove": ["DELETE FROM {schema}line WHERE {place} = {seq}"],
    "swap": [
        "UPDATE {schema}line SET body = (SELECT o.body FROM {schema}line o WHERE o.{place} = {seq} + 1) WHERE {place} = {seq}",
    ],
    "cut": ["DELETE FROM {schema}line WHERE {place} > {seq}"],
    "cut with its note": [
        "DELETE FROM {schema}line WHERE {place} > {seq}",
        "UPDATE {schema}stream SET last = {seq}, digest = (SELECT digest FROM {schema}line WHERE {place} = {seq})",
    ],
}


class SqlitePlace:
    """A file in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal" / "journal.db"
        self.url = f"sqlite:///{self.path}"

    def _run(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        db = sqlite3.connect(self.path)
        rows = db.execute(statement, values).fetchall()
        db.commit()
        db.close()
        return rows

    def damage(self, address: bytes, how: str) -> None:
        ((pack, at, stored, data),) = self._run("SELECT pack, at, stored, data FROM blob WHERE address = ?", (address,))
        if pack is None:
            harmed = {"flip": data[:-1] + bytes([data[-1] ^ 1]), "truncate": data[:-1], "remove": b""}[how]
            self._run("UPDATE blob SET data = ? WHERE address = ?", (harmed, address))
            return
        path = self.path.with_name(self.path.name + ".blobs") / pack
        if how == "remove":
            path.unlink()
        elif how == "truncate":
            with path.open("r+b") as f:
                f.truncate(at + stored - 1)
        else:
            with path.open("r+b") as f:
                f.seek(at + stored - 1)
                last = f.read(1)[0]
                f.seek(at + stored - 1)
                f.write(bytes([last ^ 1]))

    def forget(self, address: bytes) -> None:
        self._run("DELETE FROM blob WHERE address = ?", (address,))

    def age(self, version: int) -> None:
        self._run(f"PRAGMA user_version = {version}")

    def alter_line(self, seq: int, how: str) -> None:
        for statement in ALTERATIONS[how]:
            self._run(statement.format(place="id & 4294967295", seq=seq, schema=""))


class PostgresPlace:
    """An empty database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _run(self, statement: bytes, values: tuple[Any, ...]) -> None:
        with psycopg.connect(self.url) as db:
            db.execute(statement, values)

    def damage(self, address: bytes, how: str) -> None:
        last = b" WHERE address = %s AND part = (SELECT max(part) FROM holdfast.blob WHERE address = %s)"
        what = {
            "flip": b"UPDATE holdfast.blob SET data = set_byte(data, length(data) - 1, get_byte(data, length(data) - 1) # 1)",
            "truncate": b"UPDATE holdfast.blob SET data = substr(data, 1, length(data) - 1)",
            "remove": b"DELETE FROM holdfast.blob",
        }[how]
        self._run(what + last, (address, address))

    def forget(self, address: bytes) -> None:
        self._run(b"DELETE FROM holdfast.blob WHERE address = %s", (address,))

    def age(self, version: int) -> None:
        self._run(b"UPDATE holdfast.meta SET value = %s WHERE name = 'schema'", (str(version).encode(),))

    def alter_line(self, seq: int, how: str) -> None:
        for statement in ALTERATIONS[how]:
            self._run(statement.format(place="seq", seq=seq, schema="holdfast.").encode(), ())


class OnSqlite:
    @pytest.fixture
    def place(self, tmp_path: Path) -> SqlitePlace:
        return SqlitePlace(tmp_path)


class OnPostgres:
    @pytest.fixture
    def place(self, postgres_url: str) -> PostgresPlace:
        return PostgresPlace(postgres_url)


class TestSqliteEntries(OnSqlite, store.EntriesContract): ...


class TestSqliteLeases(OnSqlite, store_leases.LeasesContract): ...


class TestSqliteLists(OnSqlite, store_lists.ListsContract): ...


class TestSqliteBlobs(OnSqlite, store_blobs.BlobsContract): ...


class TestSqliteOpening(OnSqlite, store_opening.OpeningContract): ...


class TestPostgresEntries(OnPostgres, store.EntriesContract): ...


class TestPostgresLeases(OnPostgres, store_leases.LeasesContract): ...


class TestPostgresLists(OnPostgres, store_lists.ListsContract): ...


class TestPostgresBlobs(OnPostgres, store_blobs.BlobsContract): ...


class TestPostgresOpening(OnPostgres, store_opening.OpeningContract): ...


class TestSqliteStreams(OnSqlite, store_streams.StreamsContract): ...


class TestSqliteChain(OnSqlite, store_streams.ChainContract): ...


class TestSqliteCursors(OnSqlite, store_streams.CursorsContract): ...


class TestSqliteChanges(OnSqlite, store_streams.ChangesContract): ...


class TestPostgresStreams(OnPostgres, store_streams.StreamsContract): ...


class TestPostgresChain(OnPostgres, store_streams.ChainContract): ...


class TestPostgresCursors(OnPostgres, store_streams.CursorsContract): ...


class TestPostgresChanges(OnPostgres, store_streams.ChangesContract): ...

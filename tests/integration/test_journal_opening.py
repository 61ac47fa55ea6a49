"""Which journals are opened, which are refused, and that a refused one is left as it was."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from holdfast.errors import OperatorError, StoreError
from holdfast.foundation import clock
from holdfast.journal import open_store
from holdfast.journal.stores import migrations, sqlite_db
from holdfast.model.entry import Draft
from holdfast.model.execution import Execution
from holdfast.testing.postgres import PostgresServer

KEY = bytes(range(32))
LATEST = migrations.scripts("sqlite")[-1][0]


def refused(url: str, code: str, *, create: bool = True) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        open_store(url, key=KEY, create=create)
    assert caught.value.code == code
    assert caught.value.cure
    return caught.value


def test_relative_and_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relative = open_store("sqlite:///.holdfast/journal.db")
    relative.create(Execution(id="e", runbook="r"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert relative.header("e") is not None
    absolute = open_store(f"sqlite:///{tmp_path}/.holdfast/journal.db")
    assert absolute.header("e") is not None
    assert sorted(p.name for p in (tmp_path / ".holdfast").iterdir() if "-" not in p.name and p.suffix not in (".turn", ".queue")) == [
        "journal.db",
        "key",
    ]
    relative.close()
    absolute.close()


def test_names_with_spaces_and_signs(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/a%20b/c%3Fd.db").close()
    assert (tmp_path / "a b" / "c?d.db").exists()


@pytest.mark.parametrize("url", ["", "journal.db", "sqlite://", "sqlite:///", "sqlite://journal.db", "mysql://h/d", "postgresql://"])
def test_urls_that_are_not_understood(url: str) -> None:
    refused(url, "HF220")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(f"sqlite:///{tmp_path}/file/journal.db", "HF221")
    refused(f"sqlite:///{tmp_path}", "HF221")
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        refused(f"sqlite:///{tmp_path}/closed/journal.db", "HF221")
    assert list(tmp_path.rglob("*.key")) == []


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("dear diary, this is no database at all")
    refused(f"sqlite:///{text}", "HF222")
    assert text.read_text().startswith("dear diary")
    other = tmp_path / "other.db"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE execution (a)")
    db.commit()
    db.close()
    before = other.read_bytes()
    refused(f"sqlite:///{other}", "HF222")
    refused(f"sqlite:///{other}", "HF222", create=False)
    assert other.read_bytes() == before


def test_an_empty_file_is_no_journal_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch()
    refused(f"sqlite:///{tmp_path}/journal.db", "HF227", create=False)
    assert (tmp_path / "journal.db").stat().st_size == 0
    open_store(f"sqlite:///{tmp_path}/journal.db", key=KEY).close()


def test_a_journal_held_by_somebody_is_waited_for_and_then_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_db, "BUSY_SECONDS", 0.3)
    store = open_store(f"sqlite:///{tmp_path}/journal.db", key=KEY)
    store.create(Execution(id="e", runbook="r"))
    holder = sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as caught:
        store.append("e", [Draft(kind="note")], fence=None)
    assert caught.value.code == "HF501"
    assert store.read("e") == []  # readers never wait
    soon = threading.Timer(0.1, lambda: holder.execute("ROLLBACK"))
    soon.start()
    assert store.append("e", [Draft(kind="note")], fence=None) == 1
    soon.join()
    holder.close()
    store.close()


def with_scripts(monkeypatch: pytest.MonkeyPatch, *more: tuple[int, str]) -> None:
    real = migrations.scripts
    monkeypatch.setattr(migrations, "scripts", lambda store: [*real(store), *more])


def test_an_older_journal_is_migrated_and_loses_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"), [Draft(kind="note")])
    store.close()
    table = "extra" if url.startswith("sqlite") else "holdfast.extra"
    with_scripts(monkeypatch, (LATEST + 1, f"CREATE TABLE {table} (a INTEGER);\nINSERT INTO {table} VALUES (1);\n"))
    for _ in range(2):  # the second time there is nothing to do
        store = open_store(url, key=KEY, create=False)
        assert len(store.read("e")) == 1
        store.close()
    monkeypatch.undo()
    assert f"schema {LATEST + 1}" in str(refused(url, "HF223"))


def test_a_migration_that_fails_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"), [Draft(kind="note")])
    store.close()
    table = "half" if url.startswith("sqlite") else "holdfast.half"
    with_scripts(monkeypatch, (LATEST + 1, f"CREATE TABLE {table} (a INTEGER);\n"), (LATEST + 2, "INSERT INTO no_such_table VALUES (1);\n"))
    for _ in range(2):  # `half` would be there already the second time
        with pytest.raises(StoreError) as caught:
            open_store(url, key=KEY)
        assert "no_such_table" in str(caught.value)
    monkeypatch.undo()
    store = open_store(url, key=KEY)
    assert len(store.read("e")) == 1
    store.close()


def test_what_a_server_refuses(postgres_server: PostgresServer, postgres_url: str) -> None:
    assert "hunter2" not in str(refused(postgres_url.replace("holdfast:", "holdfast:hunter2", 1), "HF228"))
    refused(postgres_url.rpartition("/")[0] + "/nowhere", "HF228")
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE SCHEMA holdfast")
        db.execute("CREATE TABLE holdfast.execution (a INTEGER)")
    refused(postgres_url, "HF222")
    refused(postgres_url, "HF222", create=False)


def test_a_user_without_rights_and_a_database_that_takes_no_writes(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        try:
            refused(postgres_url.replace(postgres_url.split("//")[1].split("@")[0], "guest:guest"), "HF228")
            db.execute("ALTER ROLE guest SET default_transaction_read_only = on")
        finally:
            db.execute("DROP ROLE guest")


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    begun = clock.monotonic()
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://ann:hunter2@127.0.0.1:1/x", key=KEY)
    assert caught.value.code == "HF503"
    assert "hunter2" not in str(caught.value)
    assert clock.monotonic() - begun < 10


def test_a_postgres_journal_needs_a_key(postgres_url: str) -> None:
    with pytest.raises(OperatorError) as caught:
        open_store(postgres_url)
    assert caught.value.code == "HF226"


def test_commits_are_synchronous_whatever_the_database_says(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {postgres_url.rpartition('/')[2]} SET synchronous_commit = off".encode())
    store = open_store(postgres_url, key=KEY)
    writer = store._session.writer  # type: ignore[attr-defined]
    assert writer.run(lambda c: c.execute("SHOW synchronous_commit").fetchone()) == ("on",)
    store.close()


def test_commits_are_synced_in_sqlite(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/journal.db", key=KEY)
    db = store._session.writer  # type: ignore[attr-defined]
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_what_one_connection_wrote_stays_whatever_others_open_and_close(tmp_path: Path) -> None:
    """Another connection in this process must not drop the locks of the first: other processes would then remove the log it writes."""
    journal = f"sqlite:///{tmp_path}/journal.db"
    look = (
        "import sys; from holdfast.journal import open_store\n"
        "store = open_store(sys.argv[1], key=bytes(range(32))); print([h.id for h in store.headers()]); store.close()"
    )

    def elsewhere() -> str:
        done = subprocess.run([sys.executable, "-c", look, journal], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    first = open_store(journal, key=KEY)
    open_store(journal, key=KEY).close()
    assert elsewhere() == "[]"
    first.create(Execution(id="one", runbook="r"))
    assert elsewhere() == "['one']"
    first.close()
    assert elsewhere() == "['one']"

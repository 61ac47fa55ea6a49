"""Journals that earlier releases (and this one) recorded open, read the same, verify, and go on."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest

from holdfast.codecs import decode, decode_error
from holdfast.journal import Store, Writer, open_store
from holdfast.model.lease import Owner
from holdfast.model.stream import LineDraft

FOLDER = Path(__file__).parent / "journals"
RELEASES = sorted(p.name for p in FOLDER.iterdir() if (p / "sqlite.json").exists())


def _recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_journal", FOLDER / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECORD = _recorder()


@pytest.fixture(params=[f"{release}-{store}" for release in RELEASES for store in ("sqlite", "postgres")])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, Any]:
    """The url of a copy, its key file, and what it must say."""
    release, _, kind = request.param.rpartition("-")
    source = FOLDER / release
    expected = json.loads((source / f"{kind}.json").read_text())
    if kind == "sqlite":
        shutil.copytree(source, tmp_path / "journal")
        return f"sqlite:///{tmp_path}/journal/journal.db", source / "holdfast.key", expected
    url: str = request.getfixturevalue("postgres_url")
    with psycopg.connect(url) as db:
        db.execute((source / "postgres.sql").read_bytes())
    return url, source / "holdfast.key", expected


def test_there_is_a_recording_of_the_first_release() -> None:
    assert "0.1.0" in RELEASES


def test_it_reads_as_it_did(recorded: tuple[str, Path, Any]) -> None:
    url, key_file, expected = recorded
    store = open_store(url, key_file=key_file, create=False)
    found = RECORD.look(store)
    for kind, things in expected.items():  # a later release may say more of each thing
        assert [{k: one[k] for k in known} for one, known in zip(found[kind], things, strict=True)] == things
    store.close()


def test_values_and_blobs_verify(recorded: tuple[str, Path, Any]) -> None:
    url, key_file, _ = recorded
    store = open_store(url, key_file=key_file, create=False)
    entries = store.read("20260102-030405-abcdef")
    assert [len(store.blobs.get(a)) for a in entries[0].data["blobs"]] == [5, 260_000, 70_000]
    outcomes = [e.data for e in entries if e.kind == "call.outcome"]
    values = [decode(o["value"], blobs=store.blobs, key=store.key) for o in outcomes if "value" in o]
    assert values == RECORD.VALUES
    assert [type(v) for v in values] == [type(v) for v in RECORD.VALUES]
    error = decode_error(outcomes[-1]["error"], blobs=store.blobs, key=store.key)
    assert isinstance(error, FileNotFoundError)
    assert error.filename == "/x"
    store.close()


def test_it_goes_on(recorded: tuple[str, Path, Any]) -> None:
    url, key_file, _ = recorded
    store: Store = open_store(url, key_file=key_file)
    lease = store.claim("20260102-030405-abcdef", Owner(host="h", boot="b", pid=2, started="1"), 60)
    assert lease is not None
    assert lease.fence == 2
    before = len(store.read(lease.execution))
    assert Writer(store, lease.execution, lease.fence, "later").append("note", {"n": 1}, closes=["p1"]) == before + 1
    assert store.pending() == []
    # what later schemas brought
    assert [e.seq for _, e in store.streams.changes()][-1] == before + 1
    assert store.streams.add("s", [LineDraft(kind="note", once="a")])[0].line.seq == 1
    assert store.streams.move(store.streams.cursor("c"), 1) is not None
    store.close()

"""Packs: what a crash or a full disk leaves behind is never referred to and never in the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from holdfast.errors import LookupFailedError, StoreError
from holdfast.journal import open_store
from holdfast.journal.stores import compression, packs
from holdfast.journal.stores.packs import PAGE, PackReader, PackWriter

KEY = bytes(range(32))
MIB = 1024 * 1024


def test_each_writer_has_its_own_pack_and_leaves_it_to_the_next(tmp_path: Path) -> None:
    one, two = PackWriter(tmp_path / "p"), PackWriter(tmp_path / "p")
    first, second = one.write(b"a" * 10), two.write(b"b" * 10)
    assert first[0] != second[0]
    one.close()
    three = PackWriter(tmp_path / "p")
    name, at = three.write(b"c" * 10)
    assert (name, at) == (first[0], PAGE)
    reader = PackReader(tmp_path / "p")
    assert bytes(reader.read(*first, 10)) == b"a" * 10
    assert bytes(reader.read(name, at, 10)) == b"c" * 10
    two.close()
    three.close()


def test_a_torn_tail_is_passed_over(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path / "p")
    name, _ = writer.write(b"x" * 5000)
    writer.close()  # as if killed: whatever length the file has now
    with (tmp_path / "p" / name).open("ab") as f:
        f.write(b"torn" * 333)
    writer = PackWriter(tmp_path / "p")
    again, at = writer.write(b"y" * 5000)
    assert again == name
    assert at % PAGE == 0
    assert bytes(PackReader(tmp_path / "p").read(name, 0, 5000)) == b"x" * 5000
    assert bytes(PackReader(tmp_path / "p").read(name, at, 5000)) == b"y" * 5000
    writer.close()


def test_a_full_pack_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "FULL", 10_000)
    writer = PackWriter(tmp_path / "p")
    names = [writer.write(b"x" * 6000)[0] for _ in range(6)]
    assert len(set(names)) == 3
    writer.close()


def test_a_write_that_fails_half_way_gives_its_room_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = PackWriter(tmp_path / "p")
    name, _ = writer.write(b"x" * 100)
    real = os.pwrite

    def half(fd: int, data: memoryview, at: int) -> int:
        if at >= PAGE + 4096:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data[:4096], at)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(OSError, match="full"):
        writer.write(b"y" * 100_000)
    monkeypatch.undo()
    assert (tmp_path / "p" / name).stat().st_size <= PAGE
    assert writer.write(b"z" * 10) == (name, PAGE)
    writer.close()


def test_blobs_of_a_failed_sync_are_not_taken_for_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fsync the system may have dropped the bytes, and the next fsync would not tell."""
    store = open_store(f"sqlite:///{tmp_path}/journal.db", key=KEY)
    data = os.urandom(MIB)
    address = store.blobs.put(data)
    small = store.blobs.put(b"small")

    def fails(fd: int) -> None:
        raise OSError(errno.EIO, "bad disk")

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(StoreError) as caught:
        store.blobs.sync()
    assert caught.value.code == "HF505"
    monkeypatch.undo()
    store.blobs.sync()
    assert bytes(store.blobs.get(small)) == b"small"
    with pytest.raises(LookupFailedError):
        store.blobs.get(address)
    assert store.blobs.put(data) == address  # is written again, into another pack
    store.blobs.sync()
    assert bytes(store.blobs.get(address)) == data
    assert len(list((tmp_path / "journal.db.blobs").glob("*.pack"))) in (1, 2)
    store.close()


def test_small_blobs_stay_in_the_database_and_large_ones_do_not(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/journal.db", key=KEY)
    store.blobs.put(os.urandom(64 * 1024))
    store.blobs.put(b"compresses well" * 100_000)
    store.blobs.sync()
    assert not (tmp_path / "journal.db.blobs").exists()
    store.blobs.put(os.urandom(64 * 1024 + 1))
    store.blobs.sync()
    assert (tmp_path / "journal.db.blobs").is_dir()
    store.close()


@pytest.mark.parametrize("size", [0, 100, 200, 70_000, 300_000, 2 * MIB])
def test_compression_only_where_it_pays(size: int) -> None:
    plain, noise = b"abcdefgh" * (size // 8), os.urandom(size)
    for data in (plain, noise):
        for compress in (True, False):
            encoding, stored = compression.pack(memoryview(data), compress=compress)
            assert bytes(compression.unpack(encoding, bytes(stored), len(data))) == data
            assert len(memoryview(stored)) <= len(data)
    assert compression.pack(memoryview(noise), compress=True)[0] == compression.RAW
    if size >= 200:
        assert compression.pack(memoryview(plain), compress=True)[0] != compression.RAW
        with pytest.raises(ValueError):
            compression.unpack(compression.LZ4, os.urandom(size), size)

"""Full disks and damaged files: a clear error, nothing half written, and the journal goes on once there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import OperatorError, StoreError
from holdfast.foundation import faults
from holdfast.journal import open_store
from holdfast.model.entry import Draft
from holdfast.model.execution import Change, Execution

KEY = bytes(range(32))

# Writes until it is refused, makes room, goes on. `limit`: a cap on file sizes; `disk`: ballast on a small disk.
WRITER = """
import json, os, resource, sys
from pathlib import Path
from holdfast.errors import StoreError
from holdfast.journal import open_store
from holdfast.model.entry import Draft
folder, how, what = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = open_store(f"sqlite:///{folder}/journal.db", key=bytes(range(32)), create=False)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
else:
    with open(folder / "ballast", "wb") as ballast:
        ballast.write(b"x" * 2_000_000)
acknowledged, codes = [], []
for n in range(100_000):
    try:
        if what == "entries":
            acknowledged.append(store.append("e", [Draft(kind="note", body={"n": n, "fill": "y" * 1000})], fence=None))
        else:
            address = store.blobs.put(os.urandom(200_000))
            acknowledged.append(store.append("e", [Draft(kind="note", body={"n": n, "blob": address})], fence=None))
    except StoreError as error:
        codes.append(error.code)
        if len(codes) == 3:
            break
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
else:
    os.unlink(folder / "ballast")
address = store.blobs.put(b"after" * 50_000, compress=False)
acknowledged.append(store.append("e", [Draft(kind="after", body={"n": -1, "blob": address})], fence=None))
print(json.dumps([acknowledged, codes]))
"""


def _can_mount() -> bool:
    if os.geteuid() != 0 or sys.platform != "linux":
        return False
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


@pytest.fixture(params=["limit", "disk"] if _can_mount() else ["limit"])
def room(request: Any, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that will be full, and how."""
    folder = tmp_path / "small"
    folder.mkdir()
    if request.param == "disk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder, request.param
    if request.param == "disk":
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("what", ["entries", "blobs"])
def test_a_full_disk(room: tuple[Path, str], what: str) -> None:
    folder, how = room
    url = f"sqlite:///{folder}/journal.db"
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    store.close()
    done = subprocess.run([sys.executable, "-c", WRITER, str(folder), how, what], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    acknowledged, codes = json.loads(done.stdout)
    assert set(codes) <= ({"HF502"} if how == "disk" else {"HF502", "HF505"})
    assert len(codes) == 3
    store = open_store(url, key=KEY)
    entries = store.read("e")
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    assert acknowledged == [e.seq for e in entries]
    assert len(entries) > 1
    for entry in entries:
        if "blob" in entry.data:
            assert len(store.blobs.get(entry.data["blob"])) >= 200_000
    store.close()


def test_no_room_at_the_commit(url: str) -> None:
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    address = store.blobs.put(b"z" * 1000)
    for change in (None, Change(reason="half")):
        faults.arm("journal.before_commit=raise:OSError:28")
        try:
            with pytest.raises(StoreError) as caught:
                store.append("e", [Draft(kind="a"), Draft(kind="b")] if change else [Draft(kind="a")], fence=None, change=change)
        finally:
            faults.arm("")
        assert caught.value.code == "HF502"
        assert store.read("e") == []
    assert store.append("e", [Draft(kind="c", body={"blob": address})], fence=None) == 1
    header = store.header("e")
    assert header is not None
    assert header.reason == ""
    store.close()
    store = open_store(url, key=KEY)
    assert len(store.blobs.get(address)) == 1000
    store.close()


def _filled(path: Path) -> None:
    store = open_store(f"sqlite:///{path}", key=KEY)
    store.create(Execution(id="e", runbook="r"))
    for n in range(300):
        store.append("e", [Draft(kind="note", body={"n": n, "fill": "y" * 500})], fence=None)
    store.close()


def test_a_corrupt_page(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    _filled(path)
    with path.open("r+b") as f:
        for page in range(20, path.stat().st_size // 4096, 3):
            f.seek(page * 4096)
            f.write(b"\xa5" * 4096)

    def use() -> None:
        store = open_store(f"sqlite:///{path}", key=KEY)
        for n in range(300):
            store.read("e", after=n)
            store.append("e", [Draft(kind="note", body={"fill": "y" * 5000})], fence=None)

    with pytest.raises(StoreError) as caught:
        use()
    assert caught.value.code == "HF504"
    assert str(path) in str(caught.value)


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    _filled(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreError) as caught:
        open_store(f"sqlite:///{path}", key=KEY).read("e")
    assert caught.value.code == "HF504"


def test_a_header_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    _filled(path)
    with path.open("r+b") as f:
        f.write(b"\0" * 100)
    with pytest.raises(OperatorError) as caught:
        open_store(f"sqlite:///{path}", key=KEY)
    assert caught.value.code == "HF222"

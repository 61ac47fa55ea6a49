"""Writers of several processes take turns; one that is stuck in its turn stops nobody."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.journal import open_store
from holdfast.journal.stores import turns
from holdfast.model.entry import Draft
from holdfast.model.execution import Execution

KEY = bytes(range(32))
WRITER = """
import sys
from holdfast.journal import open_store
from holdfast.model.entry import Draft
store = open_store(sys.argv[1], key=bytes(range(32)))
print("ready", flush=True)
sys.stdin.readline()
for n in range(400):
    store.append("e", [Draft(kind="note", key=sys.argv[2])], fence=None)
"""


def test_nobody_is_kept_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    names = ["a", "b", "c"]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, n], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in names]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    assert [w.wait(60) for w in writers] == [0, 0, 0]
    keys = [e.key for e in store.read("e")]
    assert len(keys) == 1200
    first_done = min(max(place for place, key in enumerate(keys) if key == name) for name in names)
    assert all(keys[:first_done].count(name) > 100 for name in names)
    store.close()


@pytest.mark.parametrize("which", ["turn", "queue"])
def test_a_stuck_turn_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    monkeypatch.setattr(turns, "_PATIENCE", 0.1)
    store = open_store(f"sqlite:///{tmp_path}/journal.db", key=KEY)
    store.create(Execution(id="e", runbook="r"))
    fd = os.open(tmp_path / f"journal.db.{which}", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert [store.append("e", [Draft(kind="note")], fence=None) for _ in range(3)] == [1, 2, 3]
    os.close(fd)
    assert store.append("e", [Draft(kind="note")], fence=None) == 4
    fd = os.open(tmp_path / "journal.db.turn", os.O_RDWR)
    with store._session.turns:  # type: ignore[attr-defined]  # taken again, as before
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    store.close()

"""SIGKILL of a process that appends: what was acknowledged is there, nothing is half there, and the next worker goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast.errors import Fenced
from holdfast.journal import Store, Writer, open_store
from holdfast.model.execution import Execution
from holdfast.model.lease import Owner

KEY = bytes(range(32))

# Appends intent n and outcome n, now and then with blobs and a change of the header; each acknowledgement goes to a file at once.
WORKER = """
import os, sys
from holdfast.foundation import faults
from holdfast.journal import Writer, open_store
from holdfast.model.entry import Draft, Pending
from holdfast.model.execution import Change
url, fence, start, acks, faulty = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
store = open_store(url, key=bytes(range(32)), create=False)
w = Writer(store, "e", fence, "worker")
fd = os.open(acks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
faults.arm(faulty)
for n in range(start, start + 100_000):
    seq = w.append("call.intent", {"n": n}, key=str(n))
    os.write(fd, b"i %d %d\\n" % (n, seq))
    if n % 5 == 4:
        blobs = [store.blobs.put(os.urandom(size)) for size in (500, 90_000)]
        drafts = [Draft(kind="call.outcome", key=str(n), body={"n": n, "blobs": blobs}), Draft(kind="cell.completed", key=str(n))]
        opens = [Pending(execution="e", kind="timer", key=str(n))]
        seq = w.append_all(drafts, change=Change(reason=str(n)), opens=opens, closes=[str(n - 5)])
    else:
        seq = w.append("call.outcome", {"n": n, "blobs": []}, key=str(n))
    os.write(fd, b"o %d %d\\n" % (n, seq))
"""


def owner(pid: int) -> Owner:
    return Owner(host="h", boot="b", pid=pid, started="1")


def take_over(store: Store, round_: int) -> int:
    lease = store.claim("e", owner(round_), 600, dead=owner(round_ - 1).text)
    assert lease is not None
    return lease.fence


def begin(url: str, fence: int, start: int, acks: Path, fault: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, url, str(fence), str(start), str(acks), fault])


def check(store: Store, acks: Path) -> int:
    """The laws; returns the next number to write."""
    entries = store.read("e")
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    by_seq = {e.seq: e for e in entries}
    for line in acks.read_text().splitlines():
        what, n, seq = line.split()
        entry = by_seq[int(seq)]
        if what == "i":
            assert (entry.kind, entry.data["n"]) == ("call.intent", int(n))
        else:
            assert entry.key == n
    outcomes = [e.data for e in entries if e.kind == "call.outcome"]
    for outcome in outcomes:
        for address in outcome["blobs"]:
            assert len(store.blobs.get(address)) in (500, 90_000)
    # a transaction is there whole or not at all
    fives = [o["n"] for o in outcomes if o["blobs"]]
    assert [int(e.key or -1) for e in entries if e.kind == "cell.completed"] == fives
    header = store.header("e")
    assert header is not None
    assert header.reason == (str(fives[-1]) if fives else "")
    assert {p.key for p in store.pending()} == {str(n) for n in fives if n + 5 not in fives}
    intents = [e.data["n"] for e in entries if e.kind == "call.intent"]
    return max(intents, default=-1) + 1


def test_killed_at_random_moments(url: str, tmp_path: Path) -> None:
    acks, chance, start = tmp_path / "acks", random.Random(7), 0
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    for round_ in range(1, 9):
        worker = begin(url, take_over(store, round_), start, acks)
        grown = acks.stat().st_size if acks.exists() else 0
        until = time.monotonic() + 60
        while (acks.stat().st_size if acks.exists() else 0) == grown:
            assert worker.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.15))
        worker.kill()
        worker.wait()
        if round_ % 2:  # a new process reads what the dead one left; else one that was open all the time does
            store.close()
            store = open_store(url, key=KEY, create=False)
        written = check(store, acks)
        assert written >= start
        # intent without outcome: the fate of it is unknown, but it is not lost; the numbers go on at the next multiple of five
        start = -(-written // 5) * 5
    assert len(store.read("e")) > 50
    store.close()


@pytest.mark.parametrize("nth", [1, 2, 9, 10, 11, 20])
def test_killed_before_the_commit(url: str, tmp_path: Path, nth: int) -> None:
    """The tenth append is one of several entries with blobs, a change and a pending matter: nothing of it may be there."""
    acks = tmp_path / "acks"
    acks.touch()
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    worker = begin(url, take_over(store, 1), 0, acks, f"journal.before_commit@{nth}=kill")
    assert worker.wait(60) == -signal.SIGKILL
    assert len(acks.read_text().splitlines()) == nth - 1
    check(store, acks)
    expected = nth - 1 + (nth > 10)  # the tenth append writes two entries
    assert len(store.read("e")) == expected
    store.close()


def test_a_stopped_owner_that_wakes_is_fenced(url: str, tmp_path: Path) -> None:
    acks = tmp_path / "acks"
    acks.touch()
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    worker = begin(url, take_over(store, 1), 0, acks, "journal.before_commit@4=stop")
    until = time.monotonic() + 60
    while Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        assert time.monotonic() < until
        time.sleep(0.01)
    other = Writer(store, "e", take_over(store, 2), "other")
    assert other.append("note") == 4
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.wait(60) == 1  # Fenced
    assert [e.fence for e in store.read("e")] == [1, 1, 1, 2]
    with pytest.raises(Fenced):
        Writer(store, "e", 1, "worker").append("note")
    store.close()

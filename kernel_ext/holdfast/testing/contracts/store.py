"""What every ``holdfast.journal.Store`` must do. An implementation subclasses each class and overrides the fixture ``place``::

    class TestEntries(store.EntriesContract):
        @pytest.fixture
        def place(self, tmp_path): return MyPlace(tmp_path)

The classes of ``store_leases``, ``store_lists``, ``store_blobs``, ``store_streams`` and ``store_opening`` belong to the suite as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
import pytest

from holdfast.errors import LookupFailedError
from holdfast.foundation import clock
from holdfast.journal import OnceTaken, Store, Writer, open_store
from holdfast.model.entry import Draft, Entry
from holdfast.model.execution import Change, Execution
from holdfast.model.lease import Lease, Owner

KEY = bytes(range(32))


class Place(Protocol):
    """Where a test's journal lives, and how to do it harm behind the store's back."""

    url: str

    def damage(self, address: bytes, how: str) -> None:
        """``flip`` a byte of the blob, ``truncate`` it, or ``remove`` its bytes (not what names it)."""

    def forget(self, address: bytes) -> None:
        """Remove the blob altogether."""

    def age(self, version: int) -> None:
        """Make the journal say that its schema has that version."""

    def alter_line(self, seq: int, how: str) -> None:
        """Alter line ``seq`` of the only stream: ``change`` its actor, ``remove`` it, ``swap`` its text with the next one's, ``cut``
        all after it away, or ``cut with its note``: the stream's own note of its end, too."""


class StoreFixtures:
    """Fixtures and helpers of all classes."""

    @pytest.fixture
    def place(self, tmp_path: Any) -> Place:
        """Overridden by each implementation: an empty place."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, place: Place) -> Iterator[Store]:
        """A new journal."""
        store = open_store(place.url, key=KEY)
        yield store
        store.close()


def owner(number: int = 1) -> Owner:
    """A worker that does not exist."""
    return Owner(host="h", boot="b", pid=number, started="1", label="test")


def started(store: Store, execution: str = "e", ttl: float = 60.0) -> Writer:
    """A new execution and a worker's hold on it."""
    store.create(Execution(id=execution, runbook="r"))
    return Writer(store, execution, held(store, execution, ttl=ttl).fence, "me")


def held(store: Store, execution: str, number: int = 1, ttl: float = 60.0, dead: str | None = None) -> Lease:
    """A lease that must be granted."""
    lease = store.claim(execution, owner(number), ttl, dead=dead)
    assert lease is not None
    return lease


def all_at_once(*works: Callable[[], Any]) -> list[Any]:
    """Results, or what was raised, of works that start together in threads."""
    barrier, results = threading.Barrier(len(works)), [None] * len(works)

    def run(place: int) -> None:
        barrier.wait()
        try:
            results[place] = works[place]()
        except BaseException as error:
            results[place] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def in_processes(place: Place, script: str, *arguments: list[Any]) -> list[Any]:
    """What processes print as JSON; each has ``store`` and its ``arguments``, and they begin when all are ready."""
    head = (
        "import json, sys\nfrom holdfast.journal import open_store, Writer, OnceTaken\nfrom holdfast.model.entry import Draft, Pending\n"
        "from holdfast.model.execution import Execution\nfrom holdfast.model.lease import Owner\nfrom holdfast.errors import *\n"
        "url, arguments = sys.argv[1], json.loads(sys.argv[2])\n"
    )
    ready = "print('ready', flush=True); sys.stdin.readline()\n"
    program = head + script.replace("READY\n", ready)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, place.url, json.dumps(a)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for a in arguments
    ]
    for child in children:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise AssertionError(child.communicate()[1])
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    results = []
    for child in children:
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
        results.append(json.loads(out))
    return results


class EntriesContract(StoreFixtures):
    """Entries: order, atomicity, compare-and-set, many writers."""

    def test_an_entry_comes_back_as_it_was_written(self, store: Store) -> None:
        writer = started(store)
        before = clock.now()
        assert writer.append("call.intent", {"a": [1, None, b"x", 2.5], "ü": "€"}, step="drain", key="k1") == 1
        assert writer.append("note", b"") == 2
        first, second = store.read("e")
        assert first.data == {"a": [1, None, b"x", 2.5], "ü": "€"}
        assert (first.execution, first.seq, first.kind, first.step, first.key) == ("e", 1, "call.intent", "drain", "k1")
        assert (first.fence, first.actor) == (1, "me")
        assert before - 1 <= first.at <= clock.now() + 1
        assert (second.step, second.key, second.data) == (None, None, {})
        assert isinstance(first, Entry)

    def test_many_entries_at_once_are_in_order_and_all_or_nothing(self, store: Store) -> None:
        writer = started(store)
        assert writer.append_all([Draft(kind="note", key=str(n), body=msgspec.msgpack.encode({"n": n})) for n in range(50)]) == 50
        assert [e.key for e in store.read("e")] == [str(n) for n in range(50)]
        writer.append("note", once="x")
        with pytest.raises(OnceTaken):
            writer.append_all([Draft(kind="note"), Draft(kind="note", once="x"), Draft(kind="note")], change=Change(reason="no"))
        assert len(store.read("e")) == 51
        header = store.header("e")
        assert header is not None
        assert header.reason == ""

    def test_large_bodies(self, store: Store) -> None:
        writer = started(store)
        body = {"b": bytes(range(256)) * 8192}
        writer.append("note", body)
        assert store.read("e")[0].data == body

    def test_text_that_is_no_text_is_kept_legibly(self, store: Store) -> None:
        writer = started(store)
        bad = "caf\udce9 \0 €"
        writer.append("note", {"path": bad, "list": [bad], "n": 1}, key=bad, once=bad, change=Change(reason=bad, path=bad))
        entry = store.read("e")[0]
        assert entry.key == "caf\\udce9 \\x00 €"
        assert entry.data["n"] == 1
        assert entry.data["list"] == [entry.data["path"]]
        assert "caf\\udce9" in entry.data["path"]
        header = store.header("e")
        assert header is not None
        assert header.reason == entry.key
        assert [h.id for h in store.headers(path=bad)] == ["e"]
        with pytest.raises(OnceTaken):
            writer.append("note", once=bad)
        assert store.find_once("e", bad) == entry

    def test_reading_parts(self, store: Store) -> None:
        writer = started(store)
        for n in range(10):
            writer.append("a" if n % 2 else "b", step=f"s{n % 3}")
        assert [e.seq for e in store.read("e", after=7)] == [8, 9, 10]
        assert [e.seq for e in store.read("e", limit=2, after=1)] == [2, 3]
        assert [e.seq for e in store.read("e", step="s0")] == [1, 4, 7, 10]
        assert [e.seq for e in store.read("e", kinds=["a"])] == [2, 4, 6, 8, 10]
        assert [e.seq for e in store.read("e", kinds=["a", "b"], step="s1", after=3, limit=1)] == [5]
        assert store.read("e", kinds=[]) == []

    def test_executions_do_not_mix(self, store: Store) -> None:
        one, two = started(store, "one"), started(store, "two")
        one.append("note", once="same")
        for _ in range(2):
            one.append("note")
            two.append("note")
        two.append("note", once="same")
        assert [e.seq for e in store.read("one")] == [1, 2, 3]
        assert [e.seq for e in store.read("two")] == [1, 2, 3]

    def test_an_unknown_execution(self, store: Store) -> None:
        for ask in (
            lambda: store.append("no", [Draft(kind="note")], fence=None),
            lambda: store.read("no"),
            lambda: store.claim("no", owner(), 1),
        ):
            with pytest.raises(LookupFailedError) as caught:
                ask()
            assert caught.value.code == "HF601"
        assert store.header("no") is None

    def test_outsiders_append_without_a_fence(self, store: Store) -> None:
        writer = started(store)
        writer.append("note")
        assert store.append("e", [Draft(kind="prompt.answered", actor="ann")], fence=None) == 2
        assert writer.append("note") == 3
        assert [(e.fence, e.actor) for e in store.read("e")] == [(1, "me"), (None, "ann"), (1, "me")]

    def test_once_is_taken_by_the_first(self, store: Store) -> None:
        writer = started(store)
        writer.append("prompt.answered", {"who": "ann"}, once="prompt:p:end")
        with pytest.raises(OnceTaken) as caught:
            store.append("e", [Draft(kind="prompt.expired", once="prompt:p:end")], fence=None)
        assert caught.value.entry.data == {"who": "ann"}
        assert caught.value.once == "prompt:p:end"
        assert store.find_once("e", "prompt:p:end") == store.read("e")[0]
        assert store.find_once("e", "other") is None
        assert len(store.read("e")) == 1

    def test_once_among_threads_has_one_winner(self, store: Store) -> None:
        started(store)
        results = all_at_once(*(lambda n=n: store.append("e", [Draft(kind="x", key=str(n), once="o")], fence=None) for n in range(8)))
        assert sum(isinstance(r, int) for r in results) == 1
        assert sum(isinstance(r, OnceTaken) for r in results) == 7

    def test_threads_write_without_holes(self, store: Store) -> None:
        writer = started(store)
        results = all_at_once(*(lambda t=t: [writer.append("note", {"t": t, "n": n}) for n in range(25)] for t in range(6)))
        assert sorted(seq for seqs in results for seq in seqs) == list(range(1, 151))
        entries = store.read("e")
        assert [e.seq for e in entries] == list(range(1, 151))
        for t in range(6):
            assert [e.data["n"] for e in entries if e.data["t"] == t] == list(range(25))

    def test_processes_write_without_holes_and_compare_and_set(self, store: Store, place: Place) -> None:
        started(store)
        script = (
            "store = open_store(url, key=bytes(range(32)), create=False)\nREADY\nwon = []\n"
            "for n in range(30):\n"
            "    store.append('e', [Draft(kind='note', body={'p': arguments[0], 'n': n})], fence=None)\n"
            "    try: store.append('e', [Draft(kind='won', once=f'o{n}')], fence=None); won.append(n)\n"
            "    except OnceTaken: pass\n"
            "print(json.dumps(won))\n"
        )
        wins = in_processes(place, script, [0], [1], [2])
        assert sorted(n for won in wins for n in won) == list(range(30))
        entries = store.read("e")
        assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
        for p in range(3):
            assert [e.data["n"] for e in entries if e.kind == "note" and e.data["p"] == p] == list(range(30))

    def test_a_forked_child_and_its_parent_both_go_on(self, store: Store, place: Place) -> None:
        script = (
            "import os\nstore = open_store(url, key=bytes(range(32)), create=False)\nREADY\n"
            "store.append('e', [Draft(kind='before')], fence=None); store.blobs.put(b'p' * 100_000)\n"
            "pid = os.fork()\n"
            "store.append('e', [Draft(kind='after', key='parent' if pid else 'child')], fence=None)\n"
            "address = store.blobs.put(b'q' * 100_001 + bytes([pid != 0])); store.blobs.sync(); assert store.blobs.get(address)\n"
            "if pid == 0:\n    store.close(); sys.exit(0)\n"
            "_, status = os.waitpid(pid, 0)\n"
            "store.append('e', [Draft(kind='last')], fence=None)\n"
            "print(json.dumps(status))\n"
        )
        started(store)
        assert in_processes(place, script, []) == [0]
        entries = store.read("e")
        assert [e.kind for e in entries] == ["before", "after", "after", "last"]
        assert {e.key for e in entries} == {None, "parent", "child"}

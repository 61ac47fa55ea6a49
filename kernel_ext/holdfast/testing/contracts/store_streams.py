"""What every store must do about streams, cursors and the order of changes; see ``store``."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from holdfast.errors import StoreError
from holdfast.foundation import clock
from holdfast.journal import Store, StreamMoved, open_store
from holdfast.journal.chain import Verified, chain_key, link, verify
from holdfast.model.cursor import Cursor
from holdfast.model.entry import Draft
from holdfast.model.execution import Execution
from holdfast.model.stream import LineDraft
from holdfast.testing.contracts.store import KEY, Place, StoreFixtures, all_at_once, in_processes, started


def note(n: Any, **more: Any) -> LineDraft:
    """A line that says ``n``."""
    return LineDraft(kind="note", body={"n": n}, **more)


class StreamsContract(StoreFixtures):
    """Lines: order, compare-and-set, many writers."""

    def test_a_line_comes_back_as_it_was_written(self, store: Store) -> None:
        before = clock.now()
        draft = LineDraft(kind="event", key="k", once="o", actor="ann", body={"a": [1, None, b"x", 2.5], "ü": "€"})
        (added,) = store.streams.add("inbox", [draft])
        (line,) = store.streams.lines("inbox")
        assert added.new
        assert added.line == line
        assert (line.stream, line.seq, line.kind, line.key, line.once, line.actor) == ("inbox", 1, "event", "k", "o", "ann")
        assert line.data == {"a": [1, None, b"x", 2.5], "ü": "€"}
        assert before - 1 <= line.at <= clock.now() + 1
        assert len(line.digest) == 32
        assert store.streams.end("inbox") == (1, line.digest)

    def test_text_that_is_no_text_is_kept_legibly(self, store: Store) -> None:
        bad = "caf\udce9 \0 €"
        (first,) = store.streams.add(bad, [LineDraft(kind="x", key=bad, once=bad, actor=bad, body={"t": bad})])
        assert first.line.key == "caf\\udce9 \\x00 €"
        assert store.streams.lines(bad, key=bad) == [first.line]
        assert store.streams.line_once(bad, bad) == first.line
        assert not store.streams.add(bad, [LineDraft(kind="x", once=bad)])[0].new
        cursor = store.streams.move(store.streams.cursor(bad), 1)
        assert store.streams.cursor(bad) == cursor
        verify(store.streams, bad, KEY)

    def test_what_is_taken_once_stays_and_the_rest_is_written(self, store: Store) -> None:
        store.streams.add("s", [note(1, once="a")])
        added = store.streams.add("s", [note(2, once="b"), note(3, once="a"), note(4), note(5, once="b")])
        assert [(a.line.seq, a.line.data["n"], a.new) for a in added] == [(2, 2, True), (1, 1, False), (3, 4, True), (2, 2, False)]
        assert [line.data["n"] for line in store.streams.lines("s")] == [1, 2, 4]
        assert store.streams.line_once("s", "b") == added[0].line
        assert store.streams.line_once("s", "c") is None
        assert store.streams.line_once("none", "a") is None
        assert store.streams.add("s", []) == []

    def test_streams_do_not_mix(self, store: Store) -> None:
        store.streams.add("one", [note(1, once="same"), note(2)])
        store.streams.add("two", [note(3, once="same")])
        assert [line.data["n"] for line in store.streams.lines("one")] == [1, 2]
        assert [(line.seq, line.data["n"]) for line in store.streams.lines("two")] == [(1, 3)]
        assert store.streams.lines("three") == []
        assert store.streams.end("three") == (0, b"")

    def test_reading_parts(self, store: Store) -> None:
        drafts = [LineDraft(kind="a" if n % 2 else "b", key=f"k{n % 3}" if n % 4 else None, body={"n": n}) for n in range(12)]
        store.streams.add("s", drafts)

        def read(**parts: Any) -> list[int]:
            return [line.data["n"] for line in store.streams.lines("s", **parts)]

        assert read(after=9) == [9, 10, 11]
        assert read(after=2, limit=2) == [2, 3]
        assert read(newest_first=True, limit=3) == [11, 10, 9]
        assert read(kinds=["a"]) == [1, 3, 5, 7, 9, 11]
        assert read(kinds=[]) == []
        assert read(key="k1") == [1, 7, 10]
        assert read(key="k1", kinds=["a"], after=2, newest_first=True) == [7]
        assert read(key="none") == []

    def test_what_was_decided_from_an_older_end_is_refused(self, store: Store) -> None:
        store.streams.add("s", [note(1)], last=0)
        with pytest.raises(StreamMoved) as caught:
            store.streams.add("s", [note(2)], last=0)
        assert (caught.value.stream, caught.value.last) == ("s", 1)
        store.streams.add("s", [note(3)], last=1)
        with pytest.raises(StreamMoved):
            store.streams.add("new", [note(1)], last=1)
        assert [line.data["n"] for line in store.streams.lines("s")] == [1, 3]
        assert store.streams.lines("new") == []

    def test_a_draft_that_cannot_be_stored_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(TypeError):
            store.streams.add("s", [note(1), note(object())])
        assert store.streams.lines("s") == []

    def test_threads_write_without_holes(self, store: Store) -> None:
        all_at_once(*(lambda t=t: [store.streams.add("s", [note([t, n])]) for n in range(10)] for t in range(5)))
        lines = store.streams.lines("s")
        assert [line.seq for line in lines] == list(range(1, 51))
        for t in range(5):
            assert [line.data["n"][1] for line in lines if line.data["n"][0] == t] == list(range(10))
        verify(store.streams, "s", KEY)

    def test_processes_write_without_holes_and_compare_and_set(self, store: Store, place: Place) -> None:
        script = (
            "from holdfast.model.stream import LineDraft\nfrom holdfast.journal import StreamMoved\n"
            "store = open_store(url, key=bytes(range(32)), create=False)\nREADY\nwon = []\nsums = 0\n"
            "for n in range(15):\n"
            "    if store.streams.add('s', [LineDraft(kind='x', once=f'o{n}')])[0].new: won.append(n)\n"
            "    while True:\n"  # a counter that only compare-and-set keeps right
            "        last = store.streams.end('count')[0]\n"
            "        lines = store.streams.lines('count', after=last - 1, limit=1) if last else []\n"
            "        old = lines[0].data['n'] if lines else 0\n"
            "        try: store.streams.add('count', [LineDraft(kind='c', body={'n': old + 1})], last=last); break\n"
            "        except StreamMoved: pass\n"
            "print(json.dumps(won))\n"
        )
        wins = in_processes(place, script, [0], [1], [2])
        assert sorted(n for won in wins for n in won) == list(range(15))
        assert [line.seq for line in store.streams.lines("s")] == list(range(1, 16))
        assert [line.data["n"] for line in store.streams.lines("count")] == list(range(1, 46))
        verify(store.streams, "count", KEY)

    def test_it_is_there_after_reopening(self, store: Store, place: Place) -> None:
        store.streams.add("s", [note(1, once="a", key="k")])
        cursor = store.streams.move(store.streams.cursor("c"), 7, body=b"x")
        before = store.streams.lines("s")
        store.close()
        again = open_store(place.url, key=KEY)
        assert again.streams.lines("s") == before
        assert again.streams.cursor("c") == cursor
        assert again.streams.add("s", [note(2)])[0].line.seq == 2
        verify(again.streams, "s", KEY)
        again.close()


class ChainContract(StoreFixtures):
    """What nobody can alter without being found out."""

    def test_a_stream_that_nobody_touched_verifies(self, store: Store) -> None:
        assert verify(store.streams, "s", KEY) == Verified(0, b"")
        store.streams.add("s", [note(n) for n in range(5)])
        known = verify(store.streams, "s", KEY)
        assert known.last == 5
        store.streams.add("s", [note(6)])
        assert verify(store.streams, "s", KEY, known=known).last == 6

    @pytest.mark.parametrize("what", ["change", "remove", "swap", "cut", "cut with its note"])
    def test_what_was_altered_is_named(self, store: Store, place: Place, what: str) -> None:
        store.streams.add("s", [note(n) for n in range(1, 5)])
        known = verify(store.streams, "s", KEY)
        place.alter_line(2, what)
        with pytest.raises(StoreError) as caught:
            verify(store.streams, "s", KEY, known=known)
        assert caught.value.code == "HF512"
        assert caught.value.where["line"] == (2 if not what.startswith("cut") else 3)

    def test_without_the_key_no_line_can_be_made(self, store: Store) -> None:
        store.streams.add("s", [note(n) for n in range(1, 5)])
        lines = store.streams.lines("s")
        forged = msgspec.structs.replace(lines[1], actor="nobody")
        assert link(lines[0].digest, [lines[1]], chain_key(KEY)) == [lines[1]]
        for key in (KEY, chain_key(b"x" * 32)):
            assert link(lines[0].digest, [forged], key)[0].digest != link(lines[0].digest, [forged], chain_key(KEY))[0].digest


class CursorsContract(StoreFixtures):
    """Positions of consumers."""

    def test_a_cursor_moves_from_where_it_was_read(self, store: Store) -> None:
        start = store.streams.cursor("c")
        assert start == Cursor(name="c")
        one = store.streams.move(start, 5, body=b"b")
        assert one is not None
        assert (one.position, one.version, one.body) == (5, 1, b"b")
        assert store.streams.cursor("c") == one
        assert store.streams.move(start, 9) is None
        two = store.streams.move(one, 6)
        assert two is not None
        assert (two.position, two.version, two.body) == (6, 2, b"b")
        assert store.streams.move(one, 7) is None
        assert store.streams.cursor("c") == two
        assert store.streams.move(Cursor(name="none", version=3), 1) is None
        assert store.streams.cursor("none").version == 0

    def test_one_of_several_movers_wins(self, store: Store) -> None:
        start = store.streams.cursor("c")
        moved = all_at_once(*(lambda n=n: store.streams.move(start, n) for n in range(1, 7)))
        winners = [cursor for cursor in moved if cursor is not None]
        assert [store.streams.cursor("c")] == winners

    def test_listing_by_prefix(self, store: Store) -> None:
        for name in ("sink:b", "sink:a", "sinks", "rules", "sink:ü"):
            store.streams.move(store.streams.cursor(name), 1)
        assert [c.name for c in store.streams.cursors("sink:")] == ["sink:a", "sink:b", "sink:ü"]
        assert len(store.streams.cursors()) == 5
        assert store.streams.cursors("x") == []


class ChangesContract(StoreFixtures):
    """The order of changes over all executions."""

    def test_every_entry_but_those_of_calls_and_items_in_order(self, store: Store) -> None:
        assert store.streams.changes() == []
        assert store.streams.newest_change() == 0
        one = started(store, "one")
        store.create(Execution(id="two", runbook="r"), [Draft(kind="execution.created"), Draft(kind="note")])
        one.append("step.started", {"n": 1}, step="s")
        one.append("call.intent")
        one.append_all([Draft(kind="item.completed"), Draft(kind="cell.completed", step="s"), Draft(kind="execution.succeeded")])
        store.append("two", [Draft(kind="prompt.answered", actor="ann")], fence=None)
        seen = store.streams.changes()
        assert [(e.execution, e.seq, e.kind) for _, e in seen] == [
            ("two", 1, "execution.created"),
            ("two", 2, "note"),
            ("one", 1, "step.started"),
            ("one", 4, "cell.completed"),
            ("one", 5, "execution.succeeded"),
            ("two", 3, "prompt.answered"),
        ]
        assert [e for _, e in seen if e.execution == "one"] == [e for e in store.read("one") if e.seq in (1, 4, 5)]
        places = [place for place, _ in seen]
        assert places == sorted(set(places))
        assert store.streams.newest_change() == places[-1]
        assert store.streams.changes(after=places[1], limit=2) == seen[2:4]
        assert store.streams.changes(after=places[-1]) == []

    def test_a_follower_misses_nothing_while_many_write(self, store: Store, place: Place) -> None:
        for n in range(4):
            store.create(Execution(id=f"e{n}", runbook="r"))
        seen: list[tuple[int, Any]] = []
        done = threading.Event()

        def follow() -> None:
            last = False
            while True:
                page = store.streams.changes(after=seen[-1][0] if seen else 0, limit=7)
                seen.extend(page)
                if not page and last:
                    return
                last = done.is_set()

        follower = threading.Thread(target=follow)
        follower.start()
        script = (
            "store = open_store(url, key=bytes(range(32)), create=False)\nREADY\n"
            "for n in range(40):\n"
            "    store.append(f'e{(arguments[0] + n) % 4}', [Draft(kind='step.started'), Draft(kind='note')], fence=None)\n"
            "print('0')\n"
        )
        try:
            in_processes(place, script, [0], [1], [2])
        finally:
            done.set()
            follower.join()
        assert len(seen) == 240
        for n in range(4):
            assert [e.seq for _, e in seen if e.execution == f"e{n}"] == list(range(1, 61))

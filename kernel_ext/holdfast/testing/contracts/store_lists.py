"""What every store must do about headers and pending matters; see ``store``."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.errors import OperatorError
from holdfast.journal import OnceTaken, Store
from holdfast.model.entry import Draft, Pending
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.testing.contracts.store import Place, StoreFixtures, held, in_processes, started


class ListsContract(StoreFixtures):
    """Headers, pending matters, what an append changes in them."""

    def test_a_header_comes_back_as_it_was_given(self, store: Store) -> None:
        given = Execution(
            id="20260102-030405-abcdef",
            runbook="drain",
            path="/srv/drain.ipynb",
            notebook=b"\x00" * 32,
            parameters={"n": 1, "names": ["a"], "x": None},
            mode=Mode.INTERACTIVE,
            status=Status.RUNNING,
            created_at=5.0,
            started_by="ann",
            parent="p",
            forked_from="f",
            key="k",
            due_at=7.0,
        )
        made = store.create(given, [Draft(kind="execution.created", body={"x": 1}), Draft(kind="note")])
        assert made == store.header(given.id)
        assert msgspec.structs.replace(made, updated_at=0.0) == given
        assert [(e.seq, e.kind, e.fence) for e in store.read(given.id)] == [(1, "execution.created", None), (2, "note", None)]

    def test_the_same_key_starts_once(self, store: Store) -> None:
        first = store.create(Execution(id="a", runbook="r", key="k"), [Draft(kind="execution.created")])
        assert store.create(Execution(id="b", runbook="other", key="k"), [Draft(kind="execution.created")]).id == first.id
        assert store.header("b") is None
        assert len(store.read("a")) == 1
        assert [h.id for h in store.headers(key="k")] == ["a"]

    def test_the_same_key_from_many_at_once_starts_once(self, store: Store, place: Place) -> None:
        script = (
            "store = open_store(url, key=bytes(range(32)))\nREADY\n"
            "print(json.dumps([store.create(Execution(id=f'{arguments[0]}-{n}', runbook='r', key=f'k{n}')).id for n in range(10)]))\n"
        )
        answers = in_processes(place, script, [1], [2], [3])
        assert answers[0] == answers[1] == answers[2]
        assert len(store.headers()) == 10

    def test_a_taken_id(self, store: Store) -> None:
        store.create(Execution(id="a", runbook="r"), [Draft(kind="execution.created")])
        for key in (None, "fresh"):
            with pytest.raises(OperatorError) as caught:
                store.create(Execution(id="a", runbook="s", key=key), [Draft(kind="execution.created")])
            assert caught.value.code == "HF224"
        header = store.header("a")
        assert header is not None
        assert header.runbook == "r"
        assert len(store.read("a")) == 1

    def test_changes_come_with_the_entry(self, store: Store) -> None:
        writer = started(store)
        writer.append("x", change=Change(status=Status.SUSPENDED, reason="waits", due_at=9.0, notebook=b"n", path="/p"))
        header = store.header("e")
        assert header is not None
        assert (header.status, header.reason, header.due_at, header.notebook, header.path) == (Status.SUSPENDED, "waits", 9.0, b"n", "/p")
        writer.append("x", change=Change(status=Status.RUNNING, reason="", due_at=0))
        header = store.header("e")
        assert header is not None
        assert (header.status, header.reason, header.due_at, header.path) == (Status.RUNNING, "", None, "/p")
        writer.append("x")
        later = store.header("e")
        assert later is not None
        assert later.updated_at == store.read("e")[-1].at

    def test_lists_of_headers(self, store: Store) -> None:
        for n in range(6):
            store.create(Execution(id=f"e{n}", runbook=f"r{n % 2}", path=f"/p{n % 3}", parent="e0" if n > 3 else None))
        for n in (1, 2, 3):
            store.append(f"e{n}", [], fence=None, change=Change(status=Status.SUSPENDED, due_at=float(n)))
        assert [h.id for h in store.headers()] == ["e5", "e4", "e3", "e2", "e1", "e0"]
        assert [h.id for h in store.headers(newest_first=False, limit=2)] == ["e0", "e1"]
        assert [h.id for h in store.headers(limit=2, after="e4")] == ["e3", "e2"]
        assert [h.id for h in store.headers(newest_first=False, limit=2, after="e4")] == ["e5"]
        assert [h.id for h in store.headers(runbook="r1")] == ["e5", "e3", "e1"]
        assert [h.id for h in store.headers(path="/p0")] == ["e3", "e0"]
        assert [h.id for h in store.headers(parent="e0")] == ["e5", "e4"]
        assert [h.id for h in store.headers(statuses=[Status.SUSPENDED, Status.RUNNING], runbook="r1")] == ["e3", "e1"]
        assert [h.id for h in store.headers(statuses=[])] == []
        assert [h.id for h in store.headers(due_before=2.0)] == ["e2", "e1"]
        store.append("e0", [], fence=None, change=Change(due_at=2.5))
        assert [h.id for h in store.headers(due_before=3.0, newest_first=False)] == ["e1", "e2", "e0", "e3"]
        assert [h.id for h in store.headers(due_before=3.0, newest_first=False, limit=2)] == ["e1", "e2"]
        assert [h.id for h in store.headers(due_before=3.0, newest_first=False, parent="e0")] == []

    def test_orphans(self, store: Store) -> None:
        for n, status in enumerate((Status.RUNNING, Status.RUNNING, Status.SUSPENDED)):
            store.create(Execution(id=f"e{n}", runbook="r", status=status))
        held(store, "e0", ttl=-1)
        held(store, "e1", ttl=600)
        held(store, "e2", ttl=-1)
        assert [h.id for h in store.headers(orphaned_at=store.now())] == ["e0"]
        assert [h.id for h in store.headers(orphaned_at=store.now() + 900)] == ["e1", "e0"]

    def test_pending_matters(self, store: Store) -> None:
        one, two = started(store, "one"), started(store, "two")
        one.append(
            "x",
            opens=[
                Pending(execution="one", kind="prompt", key="p", due_at=5.0, body=b"\x80"),
                Pending(execution="one", kind="timer", key="t"),
            ],
        )
        two.append("x", opens=[Pending(execution="two", kind="timer", key="t", due_at=3.0)])
        assert [(p.execution, p.key, p.due_at) for p in store.pending()] == [("two", "t", 3.0), ("one", "p", 5.0), ("one", "t", None)]
        assert store.pending(kind="prompt") == [Pending(execution="one", kind="prompt", key="p", due_at=5.0, body=b"\x80")]
        assert [p.key for p in store.pending(execution="one")] == ["p", "t"]
        assert [p.execution for p in store.pending(key="t")] == ["two", "one"]
        assert [p.execution for p in store.pending(due_before=4.0)] == ["two"]
        assert [p.execution for p in store.pending(limit=1)] == ["two"]
        one.append("x", opens=[Pending(execution="one", kind="prompt", key="p", due_at=6.0)])  # asked again after a crash: the same matter
        assert [p.due_at for p in store.pending(kind="prompt")] == [6.0]
        store.append("one", [Draft(kind="answered")], fence=None, closes=["p", "never-opened"])
        assert [p.key for p in store.pending(execution="one")] == ["t"]
        one.append("x", opens=[Pending(execution="one", kind="timer", key="u")], closes=["u", "t"])
        assert store.pending(execution="one") == []

    def test_who_suspends_cannot_miss_what_was_closed_meanwhile(self, store: Store) -> None:
        writer = started(store)
        writer.append(
            "x", opens=[Pending(execution="e", kind="prompt", key="p"), Pending(execution="e", kind="timer", key="t", due_at=9.0)]
        )
        suspended = Change(status=Status.SUSPENDED, due_at=9.0, awaits=("p", "t"))
        writer.append("x", change=suspended)
        assert store.headers()[0].due_at == 9.0
        store.append("e", [Draft(kind="answered")], fence=None, closes=["p"])
        before = store.now()
        writer.append("x", change=suspended)
        assert (store.headers()[0].due_at or 0.0) >= before - 1
        writer.append("x", change=Change(due_at=0, awaits=("t",)))
        assert store.headers()[0].due_at is None

    def test_a_lost_compare_and_set_closes_nothing(self, store: Store) -> None:
        writer = started(store)
        writer.append("x", once="o", opens=[Pending(execution="e", kind="prompt", key="p")])
        with pytest.raises(OnceTaken):
            store.append("e", [Draft(kind="y", once="o")], fence=None, closes=["p"])
        assert [p.key for p in store.pending()] == ["p"]

"""What every store must do about leases and fences; see ``store``."""

from __future__ import annotations

import pytest

from holdfast.errors import Fenced
from holdfast.foundation import clock
from holdfast.journal import Store
from holdfast.model.entry import Draft, Pending
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.lease import Lease
from holdfast.testing.contracts.store import Place, StoreFixtures, held, in_processes, owner, started


class LeasesContract(StoreFixtures):
    """Leases and fences."""

    def test_one_holder_at_a_time(self, store: Store) -> None:
        store.create(Execution(id="e", runbook="r", status=Status.SUSPENDED))
        before = store.now()
        lease = held(store, "e")
        assert (lease.execution, lease.fence, lease.owner) == ("e", 1, owner().text)
        assert before + 59 < lease.until <= store.now() + 60
        assert store.claim("e", owner(2), 60) is None
        header = store.header("e")
        assert header is not None
        assert (header.fence, header.owner, header.lease_until) == (1, owner().text, lease.until)
        assert header.status is Status.SUSPENDED

    def test_the_same_owner_and_the_finder_of_a_dead_one_may_claim(self, store: Store) -> None:
        started(store)
        assert held(store, "e").fence == 2
        assert store.claim("e", owner(2), 60, dead=owner(3).text) is None
        assert held(store, "e", 2, dead=owner(1).text).fence == 3

    def test_a_lease_that_ended_may_be_taken(self, store: Store) -> None:
        started(store, ttl=0.2)
        until = clock.monotonic() + 10
        while (lease := store.claim("e", owner(2), 60)) is None:
            assert clock.monotonic() < until
            clock.sleep(0.02)
        assert lease.fence == 2

    def test_a_paused_owner_that_wakes_is_refused(self, store: Store) -> None:
        writer = started(store)
        writer.append("note")
        held(store, "e", 2, dead=owner().text)
        for attempt in (
            lambda: writer.append("note"),
            lambda: writer.append_all([]),
            lambda: writer.append(
                "note", change=Change(status=Status.FAILED), opens=[Pending(execution="e", kind="prompt", key="p")], closes=["q"]
            ),
            lambda: store.renew(Lease(execution="e", fence=1, owner=owner().text, until=0), 60),
        ):
            with pytest.raises(Fenced):
                attempt()
        assert len(store.read("e")) == 1
        assert store.pending() == []
        header = store.header("e")
        assert header is not None
        assert header.status is Status.QUEUED

    def test_an_ended_lease_that_nobody_took_still_writes(self, store: Store) -> None:
        writer = started(store, ttl=-1.0)
        assert writer.append("note") == 1

    def test_renew_and_release(self, store: Store) -> None:
        started(store)
        lease = held(store, "e")
        longer = store.renew(lease, 600)
        assert longer.until > lease.until + 300
        store.release(Lease(execution="e", fence=1, owner=owner().text, until=0))  # an older hold: nothing happens
        assert store.claim("e", owner(2), 60) is None
        store.release(longer)
        header = store.header("e")
        assert header is not None
        assert (header.owner, header.lease_until, header.fence) == (None, None, 2)
        assert held(store, "e", 2).fence == 3
        with pytest.raises(Fenced):
            store.renew(longer, 60)
        store.release(longer)
        assert store.claim("e", owner(3), 60) is None

    def test_of_many_claims_one_wins(self, store: Store, place: Place) -> None:
        for n in range(10):
            store.create(Execution(id=f"e{n}", runbook="r"))
        script = (
            "store = open_store(url, key=bytes(range(32)))\n"
            "me = Owner(host='h', boot='b', pid=arguments[0], started='1')\nREADY\n"
            "print(json.dumps([n for n in range(10) if store.claim(f'e{n}', me, 60)]))\n"
        )
        wins = in_processes(place, script, [1], [2], [3])
        assert sorted(n for won in wins for n in won) == list(range(10))
        assert {h.fence for h in store.headers()} == {1}

    def test_a_fence_refuses_in_the_midst_of_writing(self, store: Store, place: Place) -> None:
        """The owner writes as fast as it can while another takes over: nothing of the first comes after anything of the second."""
        started(store)
        script = (
            "store = open_store(url, key=bytes(range(32)))\nREADY\nn = 0\n"
            "w = Writer(store, 'e', 1, 'old')\n"
            "try:\n    while True:\n        w.append('note'); n += 1\n"
            "except Fenced: pass\n"
            "print(json.dumps(n))\n"
        )
        taker = (
            "import time\nstore = open_store(url, key=bytes(range(32)))\nREADY\ntime.sleep(0.2)\n"
            "lease = store.claim('e', Owner(host='h', boot='b', pid=2, started='1'), 60, dead='test@h:1/1/b')\n"
            "w = Writer(store, 'e', lease.fence, 'new')\n"
            "print(json.dumps([w.append('note') for n in range(20)][-1]))\n"
        )
        both = f"if arguments[0]:\n{_indented(script)}\nelse:\n{_indented(taker)}\n"
        written, _ = in_processes(place, both, [1], [0])
        fences = [e.fence for e in store.read("e")]
        assert fences == [1] * written + [2] * 20
        assert written > 0

    def test_steps_are_leased_side_by_side_each_with_its_fence(self, store: Store) -> None:
        store.create(Execution(id="e", runbook="r"))
        a, b = store.claim("e", owner(1), 60, step="a"), store.claim("e", owner(2), 60, step="b")
        assert a is not None
        assert b is not None
        assert (a.step, a.fence, b.step, b.fence) == ("a", 1, "b", 2)
        assert store.claim("e", owner(3), 60, step="a") is None
        assert store.claim("e", owner(3), 60) is None
        assert {(s.step, s.owner) for s in store.step_leases("e")} == {("a", owner(1).text), ("b", owner(2).text)}
        for lease in (a, b, store.renew(a, 600)):
            store.append("e", [Draft(kind="note")], fence=lease.fence)
        header = store.header("e")
        assert header is not None
        assert header.owner == owner(2).text
        assert header.lease_until is not None
        assert header.lease_until > store.now() + 300
        store.release(b)
        with pytest.raises(Fenced):
            store.append("e", [Draft(kind="note")], fence=b.fence)
        store.release(a)
        header = store.header("e")
        assert header is not None
        assert (header.owner, header.lease_until, header.fence) == (None, None, 2)
        assert store.step_leases("e") == []

    def test_a_step_that_is_taken_over_refuses_its_old_holder_and_nobody_else(self, store: Store) -> None:
        store.create(Execution(id="e", runbook="r"))
        old, other = store.claim("e", owner(1), 60, step="a"), store.claim("e", owner(2), 60, step="b")
        assert old is not None
        assert other is not None
        assert store.claim("e", owner(3), 60, step="a", dead=owner(2).text) is None
        new = store.claim("e", owner(3), 60, step="a", dead=[owner(1).text])
        assert new is not None
        with pytest.raises(Fenced):
            store.append("e", [Draft(kind="note")], fence=old.fence)
        with pytest.raises(Fenced):
            store.renew(old, 60)
        store.release(old)  # an older hold: nothing happens
        for lease in (new, other):
            store.append("e", [Draft(kind="note"), Draft(kind="note")], fence=lease.fence, change=Change(reason="x"))

    def test_the_whole_is_taken_when_no_step_is_held_and_then_no_step_writes(self, store: Store) -> None:
        store.create(Execution(id="e", runbook="r"))
        steps = [store.claim("e", owner(n), 60, step=f"s{n}") for n in (1, 2)]
        assert store.claim("e", owner(3), 60, dead=[owner(1).text]) is None
        whole = store.claim("e", owner(3), 60, dead=[owner(1).text, owner(2).text])
        assert whole is not None
        for lease in steps:
            assert lease is not None
            with pytest.raises(Fenced):
                store.append("e", [Draft(kind="note")], fence=lease.fence)
        store.append("e", [Draft(kind="note")], fence=whole.fence)
        assert store.claim("e", owner(1), 60, step="s1") is None
        store.release(whole)
        assert store.claim("e", owner(1), 60, step="s1") is not None

    def test_the_clock(self, store: Store) -> None:
        assert abs(store.now() - clock.now()) < 5


def _indented(script: str) -> str:
    return "".join(f"    {line}\n" for line in script.replace("READY\n", "print('ready', flush=True); sys.stdin.readline()\n").splitlines())

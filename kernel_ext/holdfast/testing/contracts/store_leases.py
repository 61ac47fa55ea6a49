"""What every store must do about leases and fences; see ``store``."""

from __future__ import annotations

import pytest

from holdfast.errors import Fenced
from holdfast.foundation import clock
from holdfast.journal import Store
from holdfast.model.entry import Pending
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

    def test_the_clock(self, store: Store) -> None:
        assert abs(store.now() - clock.now()) < 5


def _indented(script: str) -> str:
    return "".join(f"    {line}\n" for line in script.replace("READY\n", "print('ready', flush=True); sys.stdin.readline()\n").splitlines())

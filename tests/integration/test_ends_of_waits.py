"""A wait whose ends come in the same instant, on both stores."""

from __future__ import annotations

import threading

import pytest
from tests.unit.durable.conftest import EXECUTION, World

from holdfast.durable.signals import signal
from holdfast.errors import Suspend
from holdfast.executions.signals import send
from holdfast.journal.opening import open_store
from holdfast.model.entry import Kind


def test_of_ends_in_the_same_instant_one_stands(url: str) -> None:
    """A wait with a timeout: its time is up as the signal comes, and several look at once."""
    store = open_store(url, key=bytes(32))
    world = World(store, hold=0.0)
    with pytest.raises(Suspend), world.cell():
        signal("go", timeout=0.2, default="none")
    header = store.header(EXECUTION)
    assert header is not None
    barrier = threading.Barrier(4)

    def sends(n: int) -> None:
        barrier.wait()
        send(store, header, "go", n, key="k", who="t", via="test")

    threads = [threading.Thread(target=sends, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read(EXECUTION, kinds=(Kind.SIGNAL_RECEIVED,))) == 1, "the same key sends once"
    world.restart()
    with world.cell():
        first = signal("go", timeout=0.2, default="none")
    world.restart()
    with world.cell():
        assert signal("go", timeout=0.2, default="none") == first
    assert len(store.read(EXECUTION, kinds=(Kind.SIGNAL_TAKEN,))) == 1
    assert store.pending(execution=EXECUTION) == []
    store.close()

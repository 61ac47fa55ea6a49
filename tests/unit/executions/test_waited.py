"""What a step has waited: the time in which something of its own was open, overlaps once."""

from __future__ import annotations

from pathlib import Path

from holdfast.executions.waited import waited
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution
from holdfast.testing.clocks import StillClock


def write(store: Store, still: StillClock, *told: tuple[float, Kind, str, str | None]) -> None:
    for at, kind, key, step in told:
        still.at = at
        store.append("e", [Draft(kind=kind, key=key, step=step)], fence=None)


def test_time_in_which_something_is_open_counts_once(tmp_path: Path, still: StillClock) -> None:
    store = open_store(f"sqlite:///{tmp_path}/journal.db")
    store.create(Execution(id="e", runbook="r"))
    write(
        store,
        still,
        (1000, Kind.PROMPT_OPENED, "p", "s"),
        (1002, Kind.TIMER_SET, "t", "s"),
        (1003, Kind.SIGNAL_AWAITED, "other", "of another step"),
        (1004, Kind.PROMPT_ANSWERED, "p", None),
        (1007, Kind.TIMER_FIRED, "t", "s"),
        (1010, Kind.CHILD_AWAITED, "c", "s"),
    )
    still.at = 1013
    assert waited(store, "e", "s", 1000) == 10
    assert waited(store, "e", "s", 1005) == 5
    assert waited(store, "e", "s", 1012) == 1
    assert waited(store, "e", "of another step", 1000) == 10
    assert waited(store, "e", "nobody", 1000) == 0
    store.close()

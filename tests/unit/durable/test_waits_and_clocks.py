"""Waits and clocks that step, months and years, zones; ends that come in the same instant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.unit.durable.conftest import EXECUTION, World

from holdfast.durable.timers import wait
from holdfast.errors import AuthorError, Suspend
from holdfast.executions.waking import due
from holdfast.foundation import durations
from holdfast.journal.store import Store
from holdfast.model.entry import Kind
from holdfast.model.execution import Change, Status
from holdfast.testing.clocks import StillClock

YEAR = 365 * 86400.0


def suspended(world: World, until: object = None, **given: object) -> float:
    """The cell waits and is suspended, as an engine writes it; when it is due."""
    with pytest.raises(Suspend) as caught, world.cell():
        wait(until, **given)  # type: ignore[arg-type]
    due_at = caught.value.details["due_at"]
    world.writer.append(Kind.EXECUTION_SUSPENDED, change=Change(status=Status.SUSPENDED, due_at=due_at, awaits=tuple(world.last.matters)))
    world.restart()
    return float(due_at)


@pytest.mark.parametrize("length", ["3 days", timedelta(days=50 * 365), "5000 weeks"])
def test_a_wait_of_years_is_a_row_until_its_time_has_come(store: Store, still: StillClock, length: object) -> None:
    world, began = World(store, hold=60.0), still.at
    due_at = suspended(world, length)
    assert due_at == began + durations.seconds(length)  # type: ignore[arg-type]
    assert due(store) == []
    still.at = due_at - 1
    assert due(store) == []
    still.at = due_at
    assert [h.id for h in due(store)] == [EXECUTION]
    with world.cell():
        assert wait(length).seconds == due_at - began  # type: ignore[arg-type]
    assert [e.kind for e in world.entries()].count(Kind.TIMER_SET) == 1
    assert world.lawful()


def test_what_lies_beyond_the_calendar_is_refused(world: World) -> None:
    for never in ("9000 years", float("inf"), float("nan"), -1, "1e12"):
        with pytest.raises(AuthorError) as caught, world.cell():
            wait(never)
        assert caught.value.code == "HF157"


@pytest.mark.parametrize("step", [-3600.0, -YEAR, +30.0])
def test_a_clock_that_steps_moves_no_timer(store: Store, still: StillClock, step: float) -> None:
    world = World(store, hold=0.0)
    due_at = suspended(world, "1 h")
    still.at += step
    assert due(store) == []
    again = suspended(world, "1 h")  # somebody resumed it meanwhile
    assert again == due_at
    still.at = due_at + 5
    assert [h.id for h in due(store)] == [EXECUTION]
    with world.cell():
        assert wait("1 h").until.timestamp() == due_at
    still.at -= YEAR  # behind a recorded wait, too
    with world.cell():
        assert wait("1 h").until.timestamp() == due_at
    assert [e.kind for e in world.entries()].count(Kind.TIMER_FIRED) == 1


def test_a_held_wait_ends_when_the_clock_is_set_forward(store: Store, still: StillClock) -> None:
    world, began = World(store, hold=60.0), still.at
    with world.cell():
        assert wait(30).seconds == 30
    assert began + 30 <= still.at <= began + 31


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """This machine's time is Berlin's."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield ZoneInfo("Europe/Berlin")
    monkeypatch.undo()
    time.tzset()


def test_local_moments_follow_the_clocks_of_the_place(berlin: ZoneInfo) -> None:
    def at(text: str) -> datetime:
        return datetime.fromtimestamp(durations.moment(text), UTC)

    assert at("2026-03-28 09:00") == datetime(2026, 3, 28, 8, tzinfo=UTC)
    assert at("2026-03-29 09:00") == datetime(2026, 3, 29, 7, tzinfo=UTC)  # summer time began in that night
    assert at("2026-10-25 02:30") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # there twice: the first of them
    assert at("2026-03-29 02:30") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # there never: as far behind two as it says
    assert at("2026-03-29") == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert at("2026-03-29T09:00Z") == datetime(2026, 3, 29, 9, tzinfo=UTC)
    assert at("2026-03-29T09:00-05:00") == datetime(2026, 3, 29, 14, tzinfo=UTC)
    aware = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=berlin)
    assert durations.moment(aware) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC).timestamp()


def test_a_moment_that_was_set_stays_though_the_next_machine_has_another_zone(
    store: Store, still: StillClock, berlin: ZoneInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(store, hold=0.0)
    morning = datetime.fromtimestamp(still.at + 86400, UTC).replace(microsecond=0, tzinfo=None)  # naive: local
    due_at = suspended(world, until=morning)
    assert due_at == morning.replace(tzinfo=berlin).timestamp()
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    assert suspended(world, until=morning) == due_at
    still.at = due_at
    with world.cell():
        assert wait(until=morning).until.timestamp() == due_at
    assert [e.kind for e in world.entries()].count(Kind.TIMER_SET) == 1

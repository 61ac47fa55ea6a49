"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from holdfast.foundation import durations


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30.0),
        (0.25, 0.25),
        ("90", 90.0),
        ("250 ms", 0.25),
        ("3 days", 259200.0),
        ("2h30m", 9000.0),
        ("1 hour, 5 minutes and 3 seconds", 3903.0),
        ("1.5 h", 5400.0),
        ("1 week", 604800.0),
        ("PT15M", 900.0),
        ("P1DT2H", 93600.0),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_lengths(written: float | str | timedelta, seconds: float) -> None:
    assert durations.seconds(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "soon", "3 fortnights", "-5", -1, float("nan"), float("inf"), True, "P", "2h oops", timedelta(days=-1)]
)
def test_what_is_no_length(written: float | str | timedelta) -> None:
    with pytest.raises(ValueError, match=r"."):
        durations.seconds(written)


def test_moments() -> None:
    at = datetime(2026, 3, 1, 9, tzinfo=UTC).timestamp()
    assert durations.moment("2026-03-01T09:00Z") == durations.moment(datetime(2026, 3, 1, 9, tzinfo=UTC)) == at
    local = datetime(2026, 3, 1)
    assert durations.moment(date(2026, 3, 1)) == durations.moment("2026-03-01") == local.timestamp()
    assert durations.is_moment("2026-03-01T09:00Z")
    assert durations.is_moment(date(2026, 3, 1))
    assert not durations.is_moment("3 days")
    assert not durations.is_moment("20260301 days")
    with pytest.raises(ValueError, match="no moment"):
        durations.moment("tomorrow")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (45, "45 s"), (9000, "2 h 30 min"), (259200, "3 days"), (90061, "1 day 1 h")]
)
def test_lengths_for_people(seconds: float, text: str) -> None:
    assert durations.text(seconds) == text

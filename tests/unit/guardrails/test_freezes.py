"""Change freezes and the guardrails file."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from holdfast.errors import OperatorError
from holdfast.guardrails.settings import Guardrails, GuardrailsFile
from holdfast.guardrails.windows import freeze_of
from holdfast.model.guardrail import Limits


def written(tmp_path: Path, text: str) -> Guardrails:
    path = tmp_path / "guardrails.toml"
    path.write_text(text)
    return GuardrailsFile(path).current()


def until(rules: Guardrails, moment: str, *, destructive: bool = False) -> float | None:
    found = freeze_of(rules.freezes, "book", datetime.fromisoformat(moment).timestamp(), destructive=destructive)
    return None if found is None else found[1]


NIGHTS = '[[freeze]]\nname = "nights"\ndays = ["mon", "fri"]\nfrom = 18:00:00\nuntil = 08:00:00\ntimezone = "America/New_York"\n'


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-11-23T17:59:59-05:00", None),  # a Monday
        ("2026-11-23T18:00:00-05:00", "2026-11-24T08:00:00-05:00"),
        ("2026-11-24T07:59:59-05:00", "2026-11-24T08:00:00-05:00"),
        ("2026-11-24T08:00:00-05:00", None),
        ("2026-11-24T19:00:00-05:00", None),  # it does not begin on a Tuesday
        ("2026-11-28T01:00:00-05:00", "2026-11-28T08:00:00-05:00"),  # Friday's, on a Saturday
        ("2026-11-24T00:30:00+00:00", "2026-11-24T08:00:00-05:00"),  # Monday evening there
    ],
)
def test_a_window_comes_every_week_where_it_is_declared(tmp_path: Path, moment: str, end: str | None) -> None:
    assert until(written(tmp_path, NIGHTS), moment) == (None if end is None else datetime.fromisoformat(end).timestamp())


def test_a_window_over_the_change_of_clocks_ends_when_the_clock_there_says(tmp_path: Path) -> None:
    rules = written(tmp_path, NIGHTS.replace('"mon", "fri"', '"sat"'))  # clocks go back on Sunday, 1 November 2026
    assert until(rules, "2026-11-01T00:30:00-04:00") == datetime.fromisoformat("2026-11-01T08:00:00-05:00").timestamp()


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-10-25T00:15:00Z", True),  # 02:15 in Berlin, the first time
        ("2026-10-25T00:45:00Z", True),  # 02:45, and the clock will show 02:15 once more
        ("2026-10-25T01:15:00Z", True),  # 02:15, the second time
        ("2026-10-25T01:30:00Z", False),  # 02:30, the second time
        ("2026-10-24T19:59:59Z", False),  # 21:59:59 in summer
        ("2026-03-28T21:00:00Z", True),  # 22:00 in winter
        ("2026-03-29T00:59:59Z", True),  # 01:59:59; a second later it is 03:00, and 02:30 never comes
        ("2026-03-29T01:29:59Z", True),
        ("2026-03-29T01:30:00Z", False),
    ],
)
@pytest.mark.parametrize("weekly", [True, False])
def test_a_window_that_ends_in_the_hour_that_comes_twice_or_never_is_the_longer_one(
    tmp_path: Path, moment: str, on: bool, weekly: bool
) -> None:
    zone = 'timezone = "Europe/Berlin"\n'
    days = 'days = ["sat"]\nfrom = 22:00:00\nuntil = 02:30:00\n'
    nights = (("2026-10-24", "2026-10-25"), ("2026-03-28", "2026-03-29"))
    once = [f'[[freeze]]\nname = "{d}"\nfrom = {d}T22:00:00\nuntil = {e}T02:30:00\n{zone}' for d, e in nights]
    rules = written(tmp_path, f'[[freeze]]\nname = "nights"\n{days}{zone}' if weekly else "".join(once))
    assert (until(rules, moment) is not None) is on


@pytest.mark.parametrize("begin", ["02:15:00", "02:45:00"])
def test_a_window_begins_the_first_time_its_hour_comes(tmp_path: Path, begin: str) -> None:
    zone = 'timezone = "Europe/Berlin"'
    rules = written(tmp_path, f'[[freeze]]\nname = "x"\nfrom = 2026-10-25T{begin}\nuntil = 2026-10-25T06:00:00\n{zone}\n')
    end = datetime.fromisoformat("2026-10-25T06:00:00+01:00").timestamp()
    first = datetime.fromisoformat(f"2026-10-25T{begin}+02:00")
    assert until(rules, (first - timedelta(seconds=1)).isoformat()) is None
    for minutes in (0, 30, 60, 90):
        assert until(rules, (first + timedelta(minutes=minutes)).isoformat()) == end


def test_half_hours_and_the_other_hemisphere(tmp_path: Path) -> None:
    lord_howe = '[[freeze]]\nname = "x"\ndays = ["sat"]\nfrom = 20:00:00\nuntil = 01:45:00\ntimezone = "Australia/Lord_Howe"\n'
    rules = written(tmp_path, lord_howe)  # clocks go back by half an hour at 02:00 on Sunday, 5 April 2026: 01:45 comes twice
    assert until(rules, "2026-04-04T14:50:00Z") == datetime.fromisoformat("2026-04-05T01:45:00+10:30").timestamp()
    kathmandu = written(tmp_path, lord_howe.replace("Australia/Lord_Howe", "Asia/Kathmandu").replace("01:45:00", "23:00:00"))
    assert until(kathmandu, "2026-04-04T14:14:59Z") is None
    assert until(kathmandu, "2026-04-04T14:15:00Z") == datetime.fromisoformat("2026-04-04T23:00:00+05:45").timestamp()


def test_a_window_comes_once(tmp_path: Path) -> None:
    rules = written(tmp_path, '[[freeze]]\nname = "end"\nfrom = 2026-12-20T18:00:00\nuntil = 2027-01-02\ntimezone = "Europe/Berlin"\n')
    assert until(rules, "2026-12-20T17:59:59+01:00") is None
    assert until(rules, "2026-12-20T18:00:00+01:00") == datetime.fromisoformat("2027-01-02T00:00:00+01:00").timestamp()
    assert until(rules, "2027-01-02T00:00:00+01:00") is None


def test_runbooks_and_effects_are_chosen(tmp_path: Path) -> None:
    window = 'from = 2020-01-01\nuntil = 2030-01-01\nrunbooks = ["*", "!status-*"]\neffects = "destructive"\n'
    rules = written(tmp_path, f'[[freeze]]\nname = "x"\n{window}')
    moment = datetime.fromisoformat("2026-01-01T00:00:00+00:00").timestamp()
    assert freeze_of(rules.freezes, "book", moment, destructive=True) is not None
    assert freeze_of(rules.freezes, "book", moment, destructive=False) is None
    assert freeze_of(rules.freezes, "status-page", moment, destructive=True) is None


def test_the_strictest_limit_counts(tmp_path: Path) -> None:
    rules = written(
        tmp_path, '[[limits]]\nrunbooks = ["ec2-*"]\nmax_effects = 5\ncooldown = "10 min"\nmax_age = 60\nunattended = "allow"\n'
    )
    own = Limits(max_effects=9, cooldown=30, max_age=10, effects_per_hour=3, target="{x}")
    assert rules.limits_of("ec2-x", own) == Limits(max_effects=5, cooldown=600.0, max_age=10.0, effects_per_hour=3, target="{x}")
    assert rules.limits_of("other", own) == own
    assert rules.allows_unattended("ec2-x")
    assert not rules.allows_unattended("other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = ", "cannot be read"),
        ("[freez]\n", "did you mean 'freeze'"),
        ("[freeze]\n", r"\[\[freeze\]\]"),
        ("[[freeze]]\nfrom = 2026-01-01\nuntil = 2026-01-02\n", "has no name"),
        ('[[freeze]]\nname = "x"\nfrom = 2026-01-02\nuntil = 2026-01-01\n', "ends before it begins"),
        ('[[freeze]]\nname = "x"\nuntil = 2026-01-01\n', "'from' is missing"),
        ('[[freeze]]\nname = "x"\ndays = ["monday", "someday"]\n', "'someday' is no day"),
        ('[[freeze]]\nname = "x"\ndays = ["mon"]\nfrom = 2026-01-01\n', "times of day"),
        ('[[freeze]]\nname = "x"\ntimezone = "Berlin"\nfrom = 2026-01-01\nuntil = 2026-01-02\n', "'Berlin' is no time zone"),
        ('[[freeze]]\nname = "x"\nefects = "write"\nfrom = 2026-01-01\nuntil = 2026-01-02\n', "did you mean 'effects'"),
        ("[[limits]]\nmax_effects = -1\n", "must not be negative"),
        ('[[limits]]\nmax_effects = "many"\n', "Expected"),
        ('[[limits]]\nunattended = "yes"\n', "'approval' or 'allow'"),
    ],
)
def test_a_file_that_cannot_be_used_stops_all_changes(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(OperatorError, match=f"HF283.*{said}"):
        written(tmp_path, text)


def test_a_file_that_went_away_stops_all_changes(tmp_path: Path) -> None:
    path = tmp_path / "guardrails.toml"
    path.write_text(NIGHTS)
    file = GuardrailsFile(path)
    assert len(file.current().freezes) == 1
    path.unlink()
    with pytest.raises(OperatorError, match="HF283"):
        file.current()

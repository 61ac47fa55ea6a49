"""Change freezes and the guardrails file."""

from __future__ import annotations

from datetime import datetime
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

"""StackStorm's operators: each with what satisfies it and what does not, and what is wrong with a criterion."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.events.criteria import ALIASES, OPERATORS, check_criteria, unmet
from holdfast.events.near import Trouble
from holdfast.events.paths import MISSING, look_up, parse
from holdfast.foundation import clock

NOW = clock.now()

CASES: list[tuple[str, Any, Any, bool]] = [
    ("equals", "a", "a", True), ("equals", "a", "A", False), ("equals", 1, 1, True), ("equals", 1, "1", False),
    ("equals", None, "a", False), ("eq", True, True, True), ("iequals", "AbC", "aBc", True), ("iequals", None, "a", False),
    ("nequals", "a", "b", True), ("nequals", None, "b", True), ("neq", "a", "a", False), ("contains", "abc", "b", True),
    ("contains", ["a", "b"], "b", True), ("contains", "abc", "B", False), ("contains", None, "a", False),
    ("icontains", "aBc", "Bc", True), ("icontains", ["A"], "a", True), ("ncontains", "abc", "x", True), ("ncontains", "abc", "b", False),
    ("incontains", "ABC", "x", True), ("incontains", "ABC", "b", False), ("startswith", "abc", "ab", True),
    ("startswith", "abc", "AB", False), ("startswith", 5, "5", False), ("istartswith", "ABC", "ab", True),
    ("endswith", "abc", "bc", True), ("endswith", "abc", "BC", False), ("iendswith", "ABC", "bc", True), ("lessthan", 1, 2, True),
    ("lessthan", 2, 2, False), ("lt", "1.5", 2, True), ("greaterthan", 3, 2, True), ("gt", "95", 90, True), ("gt", "b", "a", True),
    ("greaterthan", "many", 2, False), ("greaterthan", None, 2, False), ("matchwildcard", "prod-db-1", "prod-*-?", True),
    ("matchwildcard", "dev-db-1", "prod-*", False), ("matchwildcard", None, "*", False), ("matchregex", "abc", "a.c", True),
    ("matchregex", "xabc", "a.c", False), ("regex", "xabc", "a.c", True), ("regex", "xABC", "a.c", False),
    ("iregex", "xABC", "a.c", True), ("regex", None, ".*", False), ("timediff_lt", clock.iso(NOW - 60), 3600, True),
    ("timediff_lt", clock.iso(NOW - 7200), 3600, False), ("timediff_gt", clock.iso(NOW - 7200), 3600, True),
    ("td_gt", NOW - 7200, 3600, True), ("td_lt", (NOW - 60) * 1000, 3600, True), ("timediff_gt", "not a time", 1, False),
    ("exists", 0, None, True), ("exists", None, None, False), ("nexists", None, None, True), ("nexists", "", None, False),
    ("inside", "a", ["a", "b"], True), ("in", "c", ["a", "b"], False), ("ninside", "c", ["a"], True), ("nin", "a", ["a"], False),
    ("inside", "a", "cat", True), ("icontains", "abc", "x", False), ("iendswith", "abc", "x", False), ("istartswith", "abc", "x", False),
    ("iregex", "abc", "x", False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "pattern", "met"), CASES)
def test_operators(kind: str, value: Any, pattern: Any, met: bool) -> None:
    criteria = {"data.x": {"type": kind, "pattern": pattern}}
    check_criteria(criteria)
    assert (unmet(criteria, {"data": {"x": value}}) is None) is met


def test_every_operator_was_tried_both_ways() -> None:
    tried = {(ALIASES.get(kind, kind), met) for kind, _, _, met in CASES}
    assert tried == {(kind, met) for kind in OPERATORS for met in (True, False)}


ALERTS = [{"name": "cpu", "level": 3}, {"name": "disk", "level": 9}]


@pytest.mark.parametrize(
    ("condition", "pattern", "met"),
    [
        ("any", {"item.name": {"type": "equals", "pattern": "disk"}, "item.level": {"type": "gt", "pattern": 5}}, True),
        ("any", {"item.name": {"type": "equals", "pattern": "cpu"}, "item.level": {"type": "gt", "pattern": 5}}, False),
        ("all", {"item.level": {"type": "gt", "pattern": 2}}, True),
        ("all", {"item.level": {"type": "gt", "pattern": 5}}, False),
        ("any2any", {"item.name": {"type": "equals", "pattern": "cpu"}, "item.level": {"type": "gt", "pattern": 99}}, True),
        ("any2any", {"item.name": {"type": "equals", "pattern": "ram"}}, False),
        ("all2any", {"item.name": {"type": "equals", "pattern": "cpu"}, "item.level": {"type": "gt", "pattern": 5}}, True),
        ("all2any", {"item.name": {"type": "equals", "pattern": "cpu"}}, False),
    ],
)
def test_search(condition: str, pattern: dict[str, Any], met: bool) -> None:
    criteria = {"data.alerts": {"type": "search", "condition": condition, "pattern": pattern}}
    check_criteria(criteria)
    assert (unmet(criteria, {"data": {"alerts": ALERTS}}) is None) is met
    assert unmet(criteria, {"data": {"alerts": "none"}}) is not None


def test_all_criteria_must_be_met_and_the_first_that_is_not_is_said() -> None:
    criteria = {"data.a": {"type": "equals", "pattern": 1}, "data.a#2": {"type": "exists"}, "data.b": {"type": "equals", "pattern": 2}}
    check_criteria(criteria)
    assert unmet(criteria, {"data": {"a": 1, "b": 2}}) is None
    assert unmet(criteria, {"data": {"a": 1}}) == "data.b is not there, not equals 2"
    assert unmet(criteria, {"data": {"a": 5}}) == "data.a is 5, not equals 1"


@pytest.mark.parametrize(
    ("criteria", "key", "cure"),
    [
        ({"data.x": {"type": "equal", "pattern": 1}}, "criteria.data.x.type", "'equals'"),
        ({"data.x": {"pattern": 1}}, "criteria.data.x", ""),
        ({"data.x": {"type": "equals"}}, "criteria.data.x.pattern", ""),
        ({"data.x": {"type": "equals", "patern": 1}}, "criteria.data.x.patern", "'pattern'"),
        ({"data..x": {"type": "exists"}}, "criteria.data..x", ""),
        ({"data.x": {"type": "regex", "pattern": "("}}, "criteria.data.x.pattern", ""),
        ({"data.x": {"type": "timediff_lt", "pattern": "1h"}}, "criteria.data.x.pattern", ""),
        ({"data.x": {"type": "search", "condition": "some", "pattern": {}}}, "criteria.data.x.condition", ""),
        ({"data.x": {"type": "search", "pattern": {"item.y": {"type": "eqals"}}}}, "criteria.data.x.pattern.item.y.type", "'equals'"),
        (["data.x"], "criteria", ""),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest_name(criteria: Any, key: str, cure: str) -> None:
    with pytest.raises(Trouble) as caught:
        check_criteria(criteria)
    assert caught.value.key == key
    assert cure in caught.value.cure


def test_paths() -> None:
    value = {"a": [{"b": 1}, {"b": 2}, {}], "c.d/e": {"f": None}}
    assert parse('x["c.d/e"].f[0]') == ["x", "c.d/e", "f", 0]
    assert look_up(value, "a[1].b") == 2
    assert look_up(value, "a.1.b") == 2
    assert look_up(value, "a[*].b") == [1, 2]
    assert look_up(value, "['c.d/e'].f") is None
    assert look_up(value, "a[9]") is MISSING
    assert look_up(value, "a.b.c") is MISSING
    for bad in ("", "a..b", "a[", "a]b", "a[x]"):
        with pytest.raises(ValueError):
            parse(bad)

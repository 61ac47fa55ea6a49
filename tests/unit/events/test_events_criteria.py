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


# What StackStorm's rules engine makes of values that its sensors send: operators named in any case, regular expressions over lines,
# dots and line ends, values that are missing or of another type (an operator that cannot take one is not met).
STACKSTORM: list[tuple[str, Any, Any, bool]] = [
    ("EQUALS", "a", "a", True), ("iEquals", "ABC", "abc", True), ("Timediff_GT", "2014-07-01T00:01:01.000000", 1, True),
    ("NIN", "a", [], True), ("equals", "1", 1, False), ("equals", [1, 2], [1, 2], True), ("equals", {"a": 1}, {"a": 1}, True),
    ("equals", "", "", True), ("equals", "\u00fc", "\u00fc", True), ("nequals", 1, "1", True), ("nequals", [1], [1], False),
    ("nequals", None, "", True), ("iequals", "ST\u00d6RUNG", "st\u00f6rung", True), ("iequals", 1, "1", False),
    ("iequals", ["A"], "a", False), ("matchwildcard", "v1", "v*", True), ("matchwildcard", "V1", "v*", False),
    ("matchwildcard", "bar3", "bar[0-9]", True), ("matchwildcard", "barx", "bar[!0-9]", True), ("matchwildcard", "", "*", True),
    ("matchwildcard", "a/b", "*b", True), ("matchwildcard", 5, "*", False), ("matchregex", "v1_foo", "v1.*", True),
    ("matchregex", "foo v1", "v1.*", False), ("matchregex", "test foo\nbar", "test.*bar", True),
    ("regex", "test foo\nbar", "test.*bar", False), ("regex", "foo v1 bar", "v1$", False), ("regex", "foo\nv1", r"\nv1$", True),
    ("regex", "foo v1 bar", "v[0-9]", True), ("regex", "V1", "v1", False), ("iregex", "foo V1", "v1", True),
    ("iregex", "x\nTEST", "(?m)^test$", True), ("iregex", "a\nb", "a.b", False), ("regex", 10, "1", False),
    ("regex", ["v1"], "v1", False), ("matchregex", "v1", "(a)?v1", True), ("contains", "haystack needle", "needle", True),
    ("contains", "Needle", "needle", False), ("contains", "", "a", False), ("contains", "a", "", True),
    ("contains", ["needle", 1], 1, True), ("contains", ["needles"], "needle", False), ("contains", {"key": 1}, "key", True),
    ("contains", 15, 5, False), ("contains", "5", 5, False), ("icontains", "haystack NEEDLE", "needle", True),
    ("icontains", "haystack", "needle", False), ("icontains", None, "n", False), ("ncontains", "haystack", "needle", True),
    ("ncontains", "Needle", "needle", True), ("ncontains", ["a"], "b", True), ("ncontains", None, "b", False),
    ("ncontains", 5, "b", False), ("incontains", "haystack Needle", "NEEDLE", False), ("incontains", "haystack", "NEEDLE", True),
    ("incontains", None, "a", False), ("startswith", "hasystack needle", "hasystack", True),
    ("startswith", "a hasystack", "hasystack", False), ("startswith", None, "a", False), ("startswith", "", "", True),
    ("istartswith", "HASYSTACK n", "hasystack", True), ("istartswith", 1, "1", False), ("endswith", "hasystack needle", "needle", True),
    ("endswith", "needle a", "needle", False), ("endswith", ["a"], "a", False), ("iendswith", "haystack NEEDLE", "needle", True),
    ("iendswith", "NEEDLE ", "needle", False), ("lt", 1, 1, False), ("lt", -1, 0, True), ("lt", 1.5, 2, True), ("gt", 2, 1.5, True),
    ("gt", 1, 1, False), ("lt", "a", "b", True), ("lt", "10", "9", True), ("gt", [2], [1], True), ("lt", None, 5, False),
    ("gt", None, -1, False), ("gt", {}, 1, False), ("gt", True, 0, True), ("td_lt", "3000-01-01T00:00:00Z", 0, True),
    ("td_gt", "3000-01-01T00:00:00Z", -1, False), ("td_gt", "2014-07-01 00:01:01", 86400, True),
    ("td_gt", "2014-07-01T00:01:01+02:00", 1, True), ("td_gt", "Tue, 01 Jul 2014 00:01:01 GMT", 1, True),
    ("td_gt", "2014-07-01T00:01:01.123456789Z", 1, True), ("td_lt", "2014-07-01", 5, False), ("td_lt", None, 5, False),
    ("td_gt", "", 5, False), ("td_gt", ["2014-07-01"], 5, False), ("exists", "", None, True), ("exists", False, None, True),
    ("exists", [], "ignored", True), ("nexists", 0, None, False), ("nexists", False, "ignored", False),
    ("in", "needle", "haystack needle", True), ("in", "needle", ["a", "needle"], True), ("in", 1, [1, 2], True),
    ("in", "1", [1, 2], False), ("in", None, "text", False), ("in", None, [None], True), ("in", "a", {"a": 1}, True),
    ("in", "Needle", ["needle"], False), ("in", 1, 5, False), ("nin", "needle", ["a"], True), ("nin", 1, "text", False),
    ("nin", "a", {"a": 1}, False), ("nin", None, ["a"], True),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "pattern", "met"), STACKSTORM)
def test_operators_as_stackstorm_has_them(kind: str, value: Any, pattern: Any, met: bool) -> None:
    test_operators(kind, value, pattern, met)


@pytest.mark.parametrize(
    ("condition", "items", "met"),
    [
        ("any", [], False), ("all", [], True), ("any2any", [], False), ("all2any", [], True), ("any", None, False), ("all", None, False),
        ("any", {"name": "cpu", "level": 9}, True), ("all", {"name": "disk", "level": 9}, False),
        ("any", [{"name": "cpu"}, {"level": 9}], False), ("any2any", [{"name": "disk"}, {"level": 9}], True),
        ("all2any", [{"name": "cpu"}, {"level": 9}], True), ("all", ["cpu", 9], False), ("all2any", [{"name": "cpu"}, {}], False),
        ("any", [[], "text", None, {"name": "cpu", "level": 9}], True), ("any", "cpu", False),
    ],
)  # fmt: skip
def test_search_over_lists_of_any_kind(condition: str, items: Any, met: bool) -> None:
    pattern = {"item.name": {"type": "IEQUALS", "pattern": "CPU"}, "item.level": {"type": "gt", "pattern": 5}}
    criteria = {"data.x": {"type": "Search", "condition": condition, "pattern": pattern}}
    check_criteria(criteria)
    assert (unmet(criteria, {"data": {"x": items}}) is None) is met


def test_a_search_within_a_search() -> None:
    inner = {"type": "search", "condition": "all", "pattern": {"item.up": {"type": "eq", "pattern": True}}}
    criteria = {"data.hosts": {"type": "search", "pattern": {"item.disks": inner, "item.name": {"type": "startswith", "pattern": "db"}}}}
    check_criteria(criteria)
    disks = [{"up": True}, {"up": True}]
    assert unmet(criteria, {"data": {"hosts": [{"name": "web", "disks": disks}, {"name": "db1", "disks": disks}]}}) is None
    assert unmet(criteria, {"data": {"hosts": [{"name": "db1", "disks": [*disks, {"up": False}]}]}}) is not None


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

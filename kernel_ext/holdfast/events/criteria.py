"""Criteria of rules: StackStorm's operators, on values found by paths."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from holdfast.events.near import Trouble, did_you_mean, known_keys
from holdfast.events.paths import MISSING, look_up, parse
from holdfast.foundation import clock

Check = Callable[[Any, Any], bool]


def _lower(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value.lower()


def _contained(value: Any, pattern: Any) -> bool:
    return pattern in value


def _icontained(value: Any, pattern: Any) -> bool:
    if isinstance(value, list):
        return _lower(pattern) in [_lower(one) for one in value if isinstance(one, str)]
    return _lower(pattern) in _lower(value)


def _inside(value: Any, pattern: Any) -> bool:
    return value in pattern


def _ordered(compare: Callable[[Any, Any], bool]) -> Check:
    def check(value: Any, pattern: Any) -> bool:
        if isinstance(value, str) != isinstance(pattern, str):  # "95" from a label against 90 in a rule
            value, pattern = float(value), float(pattern)
        return compare(value, pattern)

    return check


def _time(text: str) -> datetime:
    """RFC 3339 and its kin, else as mails and HTTP write it. Raises ``ValueError``."""
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", text.strip()))
    except ValueError:
        return parsedate_to_datetime(text)


def _age(compare: Callable[[float, float], bool]) -> Check:
    def check(value: Any, pattern: Any) -> bool:
        if isinstance(value, int | float) and not isinstance(value, bool):
            at = float(value) / (1000 if value > 1e11 else 1)  # milliseconds, as some vendors write them
        else:
            found = _time(str(value))
            at = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        return compare(clock.now() - at, float(pattern))

    return check


def _searched(flags: int) -> Check:
    return lambda value, pattern: re.compile(pattern, flags).search(value) is not None


#: Operator -> whether value and pattern satisfy it. A TypeError or ValueError means no.
OPERATORS: Final[dict[str, Check]] = {
    "equals": operator.eq,
    "iequals": lambda v, p: _lower(v) == _lower(p),
    "nequals": operator.ne,
    "contains": _contained,
    "icontains": _icontained,
    "ncontains": lambda v, p: not _contained(v, p),
    "incontains": lambda v, p: not _icontained(v, p),
    "startswith": lambda v, p: bool(v.startswith(p)),
    "istartswith": lambda v, p: _lower(v).startswith(_lower(p)),
    "endswith": lambda v, p: bool(v.endswith(p)),
    "iendswith": lambda v, p: _lower(v).endswith(_lower(p)),
    "lessthan": _ordered(operator.lt),
    "greaterthan": _ordered(operator.gt),
    "matchwildcard": fnmatch.fnmatchcase,
    "matchregex": lambda v, p: re.compile(p, re.DOTALL).match(v) is not None,
    "regex": _searched(0),
    "iregex": _searched(re.IGNORECASE),
    "timediff_lt": _age(operator.lt),
    "timediff_gt": _age(operator.gt),
    "exists": lambda v, p: v is not None,
    "nexists": lambda v, p: v is None,
    "inside": _inside,
    "ninside": lambda v, p: not _inside(v, p),
}
#: StackStorm's short names.
ALIASES: Final = {
    "eq": "equals", "ieq": "iequals", "neq": "nequals", "lt": "lessthan", "gt": "greaterthan", "td_lt": "timediff_lt",
    "td_gt": "timediff_gt", "in": "inside", "nin": "ninside",
}  # fmt: skip
_CONDITIONS: Final = ("any", "all", "all2any", "any2any")
_NO_PATTERN: Final = ("exists", "nexists")
_REGULAR: Final = ("regex", "iregex", "matchregex")


def _named(kind: Any) -> str:
    """An operator's long name; StackStorm's are the same in any case."""
    name = str(kind).lower()
    return ALIASES.get(name, name)


def check_criteria(criteria: Any, inside: str = "criteria.") -> None:
    """Raise :class:`Trouble` for the first thing in ``criteria`` that cannot be used."""
    if not isinstance(criteria, Mapping):
        raise Trouble("criteria must be a table: path -> {type, pattern}", key=inside.rstrip("."))
    for path, criterion in criteria.items():
        key = f"{inside}{path}"
        try:
            parse(_path(path))
        except ValueError as error:
            raise Trouble(str(error), key=key) from None
        if not isinstance(criterion, Mapping) or "type" not in criterion:
            raise Trouble('a criterion needs a type: {type = "equals", pattern = ...}', key=key)
        _check_criterion(criterion, key)


def _check_criterion(criterion: Mapping[str, Any], key: str) -> None:
    kind = criterion["type"]
    name = _named(kind)
    if name == "search":
        known_keys(criterion, ("type", "condition", "pattern"), f"{key}.")
        if criterion.get("condition", "any") not in _CONDITIONS:
            raise Trouble(f"condition must be one of {', '.join(_CONDITIONS)}", key=f"{key}.condition")
        check_criteria(criterion.get("pattern"), f"{key}.pattern.")
        return
    if name not in OPERATORS:
        raise Trouble(f"no operator is called {kind!r}", key=f"{key}.type", cure=did_you_mean(str(kind), [*OPERATORS, "search"]))
    known_keys(criterion, ("type", "pattern"), f"{key}.")
    pattern = criterion.get("pattern")
    if pattern is None and name not in _NO_PATTERN:
        raise Trouble(f"{kind} needs a pattern", key=f"{key}.pattern")
    if name in _REGULAR and not (isinstance(pattern, str) and "{{" in pattern):
        try:
            re.compile(pattern or "")
        except (re.error, TypeError) as error:
            raise Trouble(f"the pattern is no regular expression: {error}", key=f"{key}.pattern") from None
    if name in ("timediff_lt", "timediff_gt") and (isinstance(pattern, bool) or not isinstance(pattern, int | float)):
        raise Trouble(f"{kind} needs a number of seconds", key=f"{key}.pattern")


def unmet(criteria: Mapping[str, Any], scope: Mapping[str, Any], render: Callable[[Any], Any] = lambda pattern: pattern) -> str | None:
    """The first criterion that ``scope`` does not satisfy, in words; None when it satisfies all.

    Args:
        scope: what paths lead into.
        render: makes a pattern that is a template into a value.
    """
    for path, criterion in criteria.items():
        found = look_up(scope, _path(path))
        value = None if found is MISSING else found
        if not _met(criterion, value, render):
            shown = repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "..."
            pattern = f" {criterion['pattern']!r}" if "pattern" in criterion and _named(criterion["type"]) != "search" else ""
            return f"{path} is {'not there' if found is MISSING else shown}, not {criterion['type']}{pattern}"
    return None


def _met(criterion: Mapping[str, Any], value: Any, render: Callable[[Any], Any]) -> bool:
    kind = _named(criterion["type"])
    if kind == "search":
        return _search(value, criterion["pattern"], criterion.get("condition", "any"), render)
    try:
        return OPERATORS[kind](value, render(criterion.get("pattern")))
    except (TypeError, ValueError, AttributeError, re.error):
        return False


def _search(value: Any, pattern: Mapping[str, Any], condition: str, render: Callable[[Any], Any]) -> bool:
    """``any``: an item meets all patterns; ``all``: every item does; ``any2any``: an item meets one; ``all2any``: every item does."""
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        return False
    of_items = all if condition in ("all", "all2any") else any
    of_patterns = any if condition.endswith("2any") else all

    def met(item: Any, path: str, criterion: Mapping[str, Any]) -> bool:
        found = look_up({"item": item}, _path(path))
        return _met(criterion, None if found is MISSING else found, render)

    return of_items(of_patterns(met(item, path, criterion) for path, criterion in pattern.items()) for item in items)


def _path(text: str) -> str:
    """The path of a criterion: what stands behind ``#`` only tells two criteria on one path apart."""
    return text.partition("#")[0]

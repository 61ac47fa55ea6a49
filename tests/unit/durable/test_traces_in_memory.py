"""Which functions leave traces in memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.durable.traces import leaves_traces

log: list[Any] = []
table: dict[str, Any] = {}
count = 0


class Box:
    def __init__(self) -> None:
        self.n = 0

    def hit(self) -> None:
        self.n += 1

    def look(self) -> int:
        return self.n


box = Box()


def appends(x: int) -> None:
    log.append(x)


def stores(x: int) -> None:
    table["x"] = x


def counts(x: int) -> None:
    global count
    count += 1


def marks_its_item(row: dict[str, Any]) -> None:
    row["done"] = True


def through_another(x: int) -> None:
    appends(x)


def through_an_alias(x: int) -> None:
    here = log
    here.append(x)


def through_a_method(x: int) -> None:
    box.hit()


def is_pure(x: int) -> int:
    made = [x]
    made.append(2)
    found = {"a": made}
    found["b"] = made
    return len(found)


def writes_a_file(x: int) -> None:
    with open("somewhere", "a") as f:
        f.write(str(x))


def only_looks(row: dict[str, Any]) -> Any:
    return row.get("x"), box.look(), table["x"]


def through_another_pure(x: int) -> int:
    return is_pure(x)


TRACES = [
    appends,
    stores,
    counts,
    marks_its_item,
    through_another,
    through_an_alias,
    through_a_method,
    log.append,
    functools.partial(appends, 1),
    lambda x: log.append(x + 1),
    eval("lambda x: x"),
]
NONE = [is_pure, writes_a_file, only_looks, through_another_pure, str, functools.partial(is_pure, 1), lambda x: x + 1]


@pytest.mark.parametrize("function", TRACES)
def test_leaves_traces(function: Callable[..., Any]) -> None:
    assert leaves_traces(function)


@pytest.mark.parametrize("function", NONE)
def test_leaves_none(function: Callable[..., Any]) -> None:
    assert not leaves_traces(function)

"""Equal arguments have equal digests, in every process; different ones differ."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import subprocess
import sys
import threading
from typing import Any

import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.durable.canonical import digest
from holdfast.errors import AuthorError

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@given(plain)
def test_copies_agree(value: Any) -> None:
    import copy

    assert digest(copy.deepcopy(value)) == digest(value)


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_a_dict_does_not_matter(value: dict[str, int]) -> None:
    assert digest(dict(reversed(list(value.items())))) == digest(value)


def _distinct() -> list[Any]:
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    return [
        None, False, 0, 0.0, "", b"", [], (), {}, set(), True, 1, 1.0, "1", b"1", [1], (1,), {"1": 1}, {1: 1}, {1}, frozenset({1}),
        [[1], 2], [1, [2]], [1, 2], ["ab", "c"], ["a", "bc"], -0.0, 1j, datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1),
        datetime.timedelta(1), decimal.Decimal("1.0"), decimal.Decimal("1.00"), pathlib.Path("a"), Colour.RED, Colour.BLUE, Point(1),
        Point(2),
        Plain(a=1), Plain(a=2), Plain(b=1), Point, Plain, len, functools.partial(max, 1), functools.partial(max, 2), range(3), slice(1, 2),
        numpy.array([1, 2]), numpy.array([1.0, 2.0]), numpy.array([[1, 2]]), numpy.int64(1), numpy.float32(1), frame, frame.iloc[:1],
        frame.rename(columns={"a": "c"}), frame["a"], frame["b"], pandas.Timestamp(2026, 1, 1), pandas.Timestamp("2026-01-01", tz="UTC"),
        lambda x: x + 1, lambda x: x + 2,
    ]  # fmt: skip


def test_different_values_differ_and_each_is_stable() -> None:
    once, again = [digest(v) for v in _distinct()], [digest(v) for v in _distinct()]
    assert once == again
    assert len(set(once)) == len(once)


def test_cycles_end() -> None:
    one: list[Any] = [1]
    one.append(one)
    two: list[Any] = [1]
    two.append(two)
    assert digest(one) == digest(two) != digest([1, [1]])


@pytest.mark.parametrize(
    "value", [threading.Lock(), (n for n in range(3)), sys.stdout, {"deep": [threading.Lock()]}, Plain(lock=threading.Lock())]
)
def test_what_has_no_content_is_refused_with_a_cure(value: Any) -> None:
    with pytest.raises(AuthorError, match=r"HF150.*the call of f cannot be recognised again.*ignore="):
        digest(value, what="the call of f")


def test_another_process_with_another_hash_seed_agrees() -> None:
    code = "from holdfast.durable.canonical import digest; print(digest([{'b', 'a', 'c'}, {'x': {1, 2}}, frozenset('xyz')]).hex())"
    found = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert found == {digest([{"b", "a", "c"}, {"x": {1, 2}}, frozenset("xyz")]).hex() + "\n"}

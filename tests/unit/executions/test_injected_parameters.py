"""Parameters become a cell, as papermill would write it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from holdfast.executions.injection import literal, source, with_parameters
from holdfast.executions.start import prepare
from holdfast.notebook.reader import Notebook, read


def notebook(*tags: str) -> Notebook:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"c{n}",
            "metadata": {"tags": [tag] if tag else []},
            "source": "x = 1",
            "outputs": [],
            "execution_count": None,
        }
        for n, tag in enumerate(tags)
    ]
    return read({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}, name="n")


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    namespace: dict[str, Any] = {}
    exec(source({"given": value}), namespace)
    assert namespace["given"] == value
    assert type(namespace["given"]) is type(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_without_a_literal(value: float) -> None:
    assert repr(eval(literal(value))) == repr(value)


def test_the_cell_stands_below_the_parameters_cell_or_at_the_top() -> None:
    below = with_parameters(notebook("", "parameters", ""), {"n": 1})
    assert [c.id for c in below.cells] == ["c0", "c1", "injected-parameters", "c2"]
    assert below.cells[2].tags == ("injected-parameters",)
    top = with_parameters(notebook("", ""), {"n": 1})
    assert [c.id for c in top.cells] == ["injected-parameters", "c0", "c1"]


def test_nothing_given_or_already_injected_changes_nothing() -> None:
    plain = notebook("parameters")
    assert with_parameters(plain, {}) is plain
    already = notebook("parameters", "injected-parameters")
    assert with_parameters(already, {"n": 1}) is already


def test_what_is_given_replaces_what_papermill_has_left_in_the_file() -> None:
    left = notebook("parameters", "injected-parameters", "")
    started = prepare(left, parameters={"x": 7})
    assert [c.id for c in started.notebook.cells] == ["c0", "c2"]
    assert started.manifest.injected_cell is None
    assert source({"x": 7}) in [c.source for c in with_parameters(started.notebook, started.parameters).cells]
    assert prepare(left).notebook is left, "without parameters the file is executed as it is"

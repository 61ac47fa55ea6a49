"""Whether an author looks at an answer."""

from __future__ import annotations

import asyncio
import types
from typing import Any

import pytest

from holdfast.durable.discarded import discarded


def run(source: str, mode: str = "exec") -> list[bool]:
    """Run ``source`` as a cell would; returns what each ``gate()`` in it was told."""
    said: list[bool] = []

    def gate(*_: Any) -> bool:
        said.append(discarded())
        return True

    # the gate stands for one of Holdfast's own functions
    own = types.FunctionType(gate.__code__, {**gate.__globals__, "__name__": "holdfast.durable.asking"}, "gate", None, gate.__closure__)
    namespace: dict[str, Any] = {"__name__": "__main__", "gate": own, "asyncio": asyncio}
    exec(compile(source, "<cell>", mode), namespace)
    return said


@pytest.mark.parametrize(
    "source",
    [
        "gate()",
        "gate('a', *[1])\nprint('x')",
        "for n in (1,):\n    gate(n)",
        "def f():\n    gate()\nf()",
        "def f():\n    gate()\n    return 1\nf()",
        "with __import__('contextlib').suppress(ValueError):\n    gate()",
        "try:\n    gate()\nfinally:\n    pass",
        "if True: gate()",
        "class A:\n    gate()",
        "async def f():\n    gate()\nasyncio.run(f())",
        "__import__('functools').partial(gate, 1)()",
    ],
)
def test_a_statement_of_its_own_is_not_looked_at(source: str) -> None:
    assert run(source) == [True]


def test_nor_is_the_last_line_of_a_cell_that_only_shows_it() -> None:
    assert run("gate()", "single") == [True]


@pytest.mark.parametrize(
    "source",
    [
        "x = gate()",
        "if gate(): pass",
        "if not gate(): pass",
        "gate() or print()",
        "gate() and print()",
        "x = [gate() for _ in (1,)]",
        "assert gate()",
        "def f():\n    return gate()\nf()",
        "(lambda: gate())()",
        "print(gate())",
        "if (x := gate()): pass",
        "while not gate(): pass",
        "gate().real",
        "f'{gate()}'",
        "match gate():\n    case True: pass",
        "x: bool = gate()",
        "async def f():\n    return gate()\nasyncio.run(f())",
        "x, y = gate(), 2",
        "del [gate()][0]",
    ],
)
def test_a_value_that_goes_anywhere_is_looked_at(source: str) -> None:
    assert run(source) == [False]

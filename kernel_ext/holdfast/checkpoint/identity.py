"""The identity of not-a-number: ``n in [n]`` holds for one and the same NaN only, and pickles copy floats. Components that hold NaN
objects are pickled once more with each of them named."""

from __future__ import annotations

import gc
import math
import sys
import types
from collections.abc import Collection
from typing import Any

_MARKS = (b"G\x7f\xf8" + bytes(6), b"G\xff\xf8" + bytes(6))


def may_hold_nan(stream: bytes) -> bool:
    """Whether a pickle seems to hold a NaN written as a float."""
    return _MARKS[0] in stream or _MARKS[1] in stream


def name_of(o: float, seen: dict[int, Any]) -> Any:
    """The persistent name of a NaN: a library's constant, or a number of its own."""
    if o is math.nan:  # noqa: PLW0177 - the identity is meant
        return ("constant", "math")
    numpy = sys.modules.get("numpy")
    if numpy is not None and o is getattr(numpy, "nan", None):
        return ("constant", "numpy")
    known = seen.get(id(o))
    if known is None:
        known = seen[id(o)] = (len(seen), o)
    return ("nan", known[0], math.copysign(1.0, o))


#: Objects looked at for addresses kept as numbers.
_MOST = 5_000
_CLOSED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, str, bytes)


def holds_address(roots: list[Any], addresses: Collection[int]) -> bool:
    """Whether one of the numbers that ``roots`` hold is the address of a mutable object of theirs, as ``id`` gives it."""
    seen: set[int] = set()
    work = list(roots)
    while work and len(seen) < _MOST:
        o = work.pop()
        if type(o) is int:
            if o in addresses:
                return True
        elif id(o) not in seen and not issubclass(type(o), _CLOSED):
            seen.add(id(o))
            work += gc.get_referents(o)
    return False


class Nans:
    """The other way, while one component loads."""

    def __init__(self) -> None:
        self._made: dict[int, float] = {}

    def load(self, name: tuple[Any, ...]) -> float:
        """The NaN of a persistent name."""
        if name[0] == "constant":
            import importlib

            return importlib.import_module(name[1]).nan  # type: ignore[no-any-return]
        made = self._made.get(name[1])
        if made is None:
            made = self._made[name[1]] = math.copysign(float("nan"), name[2])
        return made

"""JSON from outside, as the journal and every reader after it can hold it."""

from __future__ import annotations

import json
import math
from typing import Any, Final

_MOST_DEEP: Final = 100  # nested lists and objects
_WHOLE: Final = range(-(2**63), 2**64)


def read_json(body: bytes) -> Any:
    """The value of a JSON text. Numbers that 64 bits cannot hold become the text that they were written as, and half a surrogate pair
    the replacement character: what is authentic is not turned away for them.

    Raises:
        ValueError: it is no JSON (NaN and Infinity are none), or nested deeper than a hundred levels.
    """
    try:
        value = json.loads(body, parse_int=_whole, parse_float=_real, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _held(value, _MOST_DEEP)


def _held(value: Any, deeper: int) -> Any:
    if type(value) is str:
        return value if value.isascii() else value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if not isinstance(value, list | dict):
        return value
    if not deeper:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_held(item, deeper - 1) for item in value]
    return {_held(name, deeper): _held(item, deeper - 1) for name, item in value.items()}


def _whole(text: str) -> int | str:
    return int(text) if len(text) < 24 and int(text) in _WHOLE else text


def _real(text: str) -> float | str:
    return found if math.isfinite(found := float(text)) else text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")

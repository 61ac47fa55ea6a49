"""One digest for equal arguments: whatever order dictionaries and sets come in, whatever process asks, never an object's address."""

from __future__ import annotations

import datetime
import enum
import pathlib
import sys
import types
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from holdfast.errors import AuthorError

_DEPTH = 200


def digest(value: Any, *, what: str = "the request") -> bytes:
    """32 bytes that are equal when the values are: same types, same contents.

    Args:
        value: anything made of plain data, dataclasses, arrays, data frames, or objects that pickle.
        what: names the value in the error's text.

    Raises:
        AuthorError: HF150, a part of it (an open connection, a generator ...) has no content that would be the same in another process.
    """
    try:
        return _digest(value, ())
    except _Unstable as reason:
        raise AuthorError(
            "HF150",
            f"{what} cannot be recognised again: {reason}",
            cure="pass plain data, or name the parameter in `ignore=`, or say with `key=` what makes two calls the same",
        ) from None


class _Unstable(Exception):
    pass


def _digest(value: Any, above: tuple[int, ...]) -> bytes:
    h = blake2b(digest_size=32)
    _feed(h.update, value, above)
    return h.digest()


def _feed(put: Callable[[bytes], None], value: Any, above: tuple[int, ...]) -> None:
    cls = type(value)
    leaf = _LEAVES.get(cls)
    if leaf is not None:
        tag, data = leaf(value)
        put(b"%c%d:" % (tag, len(data)))
        put(data)
        return
    if id(value) in above:
        put(b"^%d:" % above[::-1].index(id(value)))  # a cycle, told by how far up it leads
        return
    if len(above) > _DEPTH:
        raise _Unstable(f"it is nested more than {_DEPTH} deep")
    above = (*above, id(value))
    if cls is list or cls is tuple:
        put(b"l%d:" % len(value) if cls is list else b"t%d:" % len(value))
        for item in value:
            _feed(put, item, above)
    elif cls is dict:
        put(b"m%d:" % len(value))
        for pair in sorted(_digest(k, above) + _digest(v, above) for k, v in value.items()):
            put(pair)
    elif cls is set or cls is frozenset:
        put(b"z%d:" % len(value) if cls is set else b"Z%d:" % len(value))
        for item in sorted(_digest(item, above) for item in value):
            put(item)
    else:
        _feed_object(put, value, above)


def _feed_object(put: Callable[[bytes], None], value: Any, above: tuple[int, ...]) -> None:
    cls = type(value)
    if isinstance(value, enum.Enum):
        parts: Any = value.name
    elif isinstance(value, pathlib.PurePath):
        parts = str(value)
    elif isinstance(value, type) or cls in _NAMED:
        parts = _name_of(value)
    elif isinstance(value, types.ModuleType):
        parts = value.__name__
    else:
        parts = _content(value)
    put(b"o")
    _feed(put, f"{cls.__module__}.{cls.__qualname__}", above)
    _feed(put, parts, above)


def _name_of(value: Any) -> Any:
    """A class or function: by name; without a name that finds it again, by its code."""
    name = f"{value.__module__}.{value.__qualname__}"
    if "<" not in name:
        return name
    code = getattr(value, "__code__", None)
    if code is None:
        raise _Unstable(f"{name} is defined inside a function")
    cells = [cell.cell_contents for cell in value.__closure__ or ()]
    return [name, _code(code), value.__defaults__, value.__kwdefaults__, cells]


def _code(code: types.CodeType) -> list[Any]:
    constants = [_code(c) if isinstance(c, types.CodeType) else c for c in code.co_consts]
    return [code.co_code, constants, list(code.co_names), list(code.co_varnames)]


def _content(value: Any) -> Any:
    """What an object is made of."""
    module = type(value).__module__.partition(".")[0]
    if module == "numpy" and "numpy" in sys.modules:
        return _array(value)
    if module == "pandas" and "pandas" in sys.modules:
        return _frame(value)
    try:
        reduced = value.__reduce_ex__(4)
    except Exception as error:
        raise _Unstable(f"a {type(value).__module__}.{type(value).__qualname__} has no content to compare ({error})") from None
    if isinstance(reduced, str):
        return reduced
    make, arguments, *rest = reduced
    state, items, pairs = (*rest, None, None, None)[:3]
    return [make, list(arguments), state, list(items) if items is not None else None, list(pairs) if pairs is not None else None]


def _array(value: Any) -> Any:
    import numpy

    if isinstance(value, (numpy.ndarray, numpy.generic)):
        array = numpy.asarray(value)
        kind, shape = str(array.dtype), list(array.shape)
        content = array.ravel().tolist() if array.dtype.hasobject else numpy.ascontiguousarray(array).tobytes()
        return [kind, shape, content]
    return list(value.__reduce_ex__(4)[1:]) if not isinstance(value, numpy.dtype) else str(value)


def _frame(value: Any) -> Any:
    import pandas

    if isinstance(value, pandas.DataFrame):
        return [_frame(value.columns), _frame(value.index), [_frame(value.iloc[:, i]) for i in range(value.shape[1])]]
    if isinstance(value, pandas.Series):
        return [value.name, str(value.dtype), _values(value), _frame(value.index)]
    if isinstance(value, pandas.MultiIndex):
        return [list(value.names), list(value)]
    if isinstance(value, pandas.Index):
        return [value.name, str(value.dtype), _values(value)]
    if isinstance(value, pandas.Timestamp):
        return [value.value, str(value.tz), value.unit]
    if isinstance(value, pandas.Timedelta):
        return [value.value, value.unit]
    if value is pandas.NaT or value is pandas.NA:
        return str(value)
    return list(value.__reduce_ex__(4)[1])


def _values(value: Any) -> Any:
    array = value.to_numpy()
    return array.tolist() if array.dtype.hasobject else array.tobytes()


def _text(value: str) -> tuple[int, bytes]:
    return 0x73, value.encode("utf-8", "surrogatepass")


_LEAVES: dict[type, Callable[[Any], tuple[int, bytes]]] = {
    type(None): lambda _: (0x6E, b""),
    bool: lambda v: (0x62, b"1" if v else b"0"),
    int: lambda v: (0x69, b"%d" % v),
    float: lambda v: (0x66, v.hex().encode()),
    complex: lambda v: (0x63, f"{v.real.hex()},{v.imag.hex()}".encode()),
    str: _text,
    bytes: lambda v: (0x79, v),
    bytearray: lambda v: (0x59, bytes(v)),
    memoryview: lambda v: (0x79, bytes(v)),
    datetime.date: lambda v: (0x64, v.isoformat().encode()),
}

_NAMED = frozenset({types.FunctionType, types.BuiltinFunctionType})

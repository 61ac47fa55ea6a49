"""``functools.lru_cache`` with its contents: the garbage collector shows the entries in order of use, and they are put back by calling
the wrapper with them while the wrapped function answers from the list."""

from __future__ import annotations

import functools
import gc
import types
from typing import TYPE_CHECKING, Any

from holdfast.checkpoint import functions

if TYPE_CHECKING:
    from holdfast.checkpoint.pickler import ComponentPickler

_FEW = 10_000


def reduce_lru_cache(pickler: ComponentPickler, o: Any) -> Any:
    """The reduction of a cache wrapper."""
    if functions.is_importable(o):
        return o.__qualname__
    parameters = o.cache_parameters()
    info = o.cache_info()
    function, entries, mark = _contents(o)
    attributes = {k: v for k, v in vars(o).items() if k != "cache_parameters"}
    if (entries or info.misses) and not isinstance(function, types.FunctionType):
        pickler.lose("the contents of a functools.lru_cache", "expect it to be empty after a resume, or keep a dict instead")
        entries = []
    calls = [(_arguments(key, mark, parameters["typed"]), value) for key, value in entries]
    state = (attributes, calls, info.hits, info.misses)
    return make_lru_cache, (parameters["maxsize"], parameters["typed"], function), state, None, None, fill_lru_cache


def state_of(o: Any) -> tuple[Any, ...] | None:
    """What :func:`fill_lru_cache` takes to fill a wrapper that is already there; None for an unused cache."""
    info = o.cache_info()
    function, entries, mark = _contents(o)
    if not (entries or info.misses) or not isinstance(function, types.FunctionType):
        return None
    typed = o.cache_parameters()["typed"]
    return {}, [(_arguments(key, mark, typed), value) for key, value in entries], info.hits, info.misses


def _contents(o: Any) -> tuple[Any, list[tuple[Any, Any]], Any]:
    """The wrapped function, the entries from the least recently used on, and the object that marks keyword arguments."""
    parts = gc.get_referents(o)
    link = next((p for p in parts if isinstance(p, type) and p.__name__ == "_lru_list_elem"), None)
    cache = next(p for p in parts if type(p) is dict and p is not getattr(o, "__dict__", None))
    mark = next(p for p in parts if type(p) is object)
    rest = [p for p in parts if p is not cache and p is not getattr(o, "__dict__", None)]
    function = next(p for p in reversed(rest) if callable(p) and not isinstance(p, type))
    entries: list[tuple[Any, Any]] = []
    if any(type(v).__name__ == "_lru_list_elem" for v in cache.values()):
        first = 1 if isinstance(parts[0], type) else 0
        for n in range(len(cache)):
            at = first + 3 * n
            entries.append((parts[at], parts[at + 1]))
    elif link is not None:
        entries = list(cache.items())
    return function, entries, mark


def _arguments(key: Any, mark: Any, typed: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The call that has ``key``."""
    if not isinstance(key, tuple):
        return (key,), {}
    items = list(key)
    if mark in items:
        at = next(n for n, item in enumerate(items) if item is mark)
        positional, rest = items[:at], items[at + 1 :]
        named: dict[str, Any] = {}
        while len(rest) >= 2 and isinstance(rest[0], str) and len(rest) - 2 >= (len(positional) if typed else 0):
            named[rest[0]] = rest[1]
            rest = rest[2:]
            if typed and len(rest) == len(positional) + len(named):
                break
        return tuple(positional), named
    return tuple(items[: len(items) // 2] if typed else items), {}


def make_lru_cache(maxsize: int | None, typed: bool, function: Any) -> Any:
    """An empty cache."""
    return functools.lru_cache(maxsize, typed)(function)


class _Feed:
    """What the wrapped function answers while a cache is being filled."""

    value: Any = None

    @classmethod
    def answer(cls, *_: Any, **__: Any) -> Any:
        if isinstance(cls.value, _Fail):
            raise cls.value
        return cls.value


class _Fail(Exception):
    pass


def fill_lru_cache(target: Any, state: tuple[Any, ...]) -> None:
    """Entries, hits and misses."""
    attributes, calls, hits, misses = state
    vars(target).update(attributes)
    function = _contents(target)[0]
    if not isinstance(function, types.FunctionType) or not (calls or misses):
        return
    code = function.__code__
    function.__code__ = _feeder(code)
    try:
        for (positional, named), value in calls:
            _Feed.value = value
            target(*positional, **named)
        _Feed.value = _Fail()
        for _ in range(min(misses - len(calls), _FEW)):
            try:
                target(object())
            except _Fail:
                pass
        if calls:
            (positional, named), _value = calls[-1]
            for _ in range(min(hits, _FEW)):
                target(*positional, **named)
    finally:
        function.__code__ = code
        _Feed.value = None


def _feeder(code: types.CodeType) -> types.CodeType:
    """Code that takes any arguments and answers from :class:`_Feed`, with the free variables of ``code`` so that it fits the function."""

    def feed(*positional: Any, **named: Any) -> Any:
        from holdfast.checkpoint.caches import _Feed as feed_

        return feed_.answer()

    return feed.__code__.replace(co_freevars=code.co_freevars, co_flags=feed.__code__.co_flags)

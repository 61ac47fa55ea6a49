"""Attributes that a cell set on imported modules and classes, and globals of libraries that its calls changed."""

from __future__ import annotations

import importlib
import re
import sys
import types
from collections.abc import Iterable
from typing import Any

from holdfast.checkpoint.places import is_local
from holdfast.checkpoint.space import Space


class Absent:
    """The type of :data:`ABSENT`."""

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Any = Absent()
_STATELESS = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, types.MethodType)


def _target(address: str) -> tuple[Any, str]:
    place, _, attribute = address.rpartition("|")
    module, _, qualname = place.partition(":")
    owner: Any = importlib.import_module(module)
    for part in filter(None, qualname.split(".")):
        owner = getattr(owner, part)
    return owner, attribute


def read(address: str) -> Any:
    """The value of ``module:Qual|attribute`` in the owner's own dict."""
    owner, attribute = _target(address)
    return vars(owner).get(attribute, ABSENT)


def write(address: str, value: Any) -> None:
    """Set it again, or delete it."""
    owner, attribute = _target(address)
    if value is ABSENT:
        if attribute in vars(owner):
            delattr(owner, attribute)
    else:
        setattr(owner, attribute, value)


def contents(address: str) -> tuple[Any, ...]:
    """What a library's own dict, list or set holds."""
    owner, attribute = _target(address)
    container = vars(owner)[attribute]
    return (type(container).__name__, tuple(container.items()) if isinstance(container, dict) else tuple(container))


def set_contents(address: str, value: tuple[str, tuple[Any, ...]]) -> None:
    """Let the library's own container hold ``items`` again. Where the library has not made it yet, it gets one."""
    kind, items = value
    container = read(address)
    if type(container).__name__ != kind:
        container = {"dict": dict, "list": list, "set": set}[kind]()
        write(address, container)
    container.clear()
    if isinstance(container, list):
        container.extend(items)
    else:
        container.update(items)


class GlobalsWatch:
    """Notices when a cell changes the globals of a library it works with: registries, defaults, settings kept in a module.

    Args:
        namespace: the author's.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._before: dict[str, dict[str, tuple[int, int]]] = {}

    def before(self, names: Iterable[str], imports: Iterable[str]) -> None:
        """Remember the globals of the modules that ``names`` lead to; those that the cell will import are looked at afterwards."""
        self._before = {m.__name__: self._look(m) for m in self._modules(names)}
        if any(_SETTER.match(n) for n in names):
            self._before.update(
                (n, {}) for n in imports if n not in sys.modules and n.partition(".")[0] in sys.stdlib_module_names and n not in _UNWATCHED
            )

    def changed(self) -> tuple[set[str], set[str]]:
        """Addresses of globals rebound, and of containers that hold more or less than before."""
        rebound, refilled = set(), set()
        for name, before in self._before.items():
            module = sys.modules.get(name)
            if module is None:
                continue
            for attribute, (key, size) in self._look(module).items():
                known = before.get(attribute)
                if known is None and type(vars(module)[attribute]) in _CONTAINERS:
                    refilled.add(f"{name}|{attribute}")
                elif known is None and (attribute.isupper() or type(vars(module)[attribute]) in _CONSTANTS):
                    continue  # imported by this very cell: a constant, and libraries compare marks by identity
                elif known is None or known[0] != key:
                    rebound.add(f"{name}|{attribute}")
                elif known[1] != size:
                    refilled.add(f"{name}|{attribute}")
        return rebound, refilled

    def _modules(self, names: Iterable[str]) -> list[types.ModuleType]:
        found: dict[str, types.ModuleType] = {}
        for name in names:
            value: Any = self._namespace.get(name)
            if value is None:
                value = sys.modules.get(name)
            if issubclass(type(value), _NAMED):  # not isinstance: it would ask a proxy for its class
                value = sys.modules.get(value.__module__ or "")
            if (
                issubclass(type(value), types.ModuleType)
                and vars(value) is not self._namespace
                and value.__name__ not in _UNWATCHED
                and not is_local(value)
            ):
                found[value.__name__] = value
        return [m for n, m in found.items() if sys.modules.get(n) is m]

    @staticmethod
    def _look(module: types.ModuleType) -> dict[str, tuple[int, int]]:
        return {
            k: (id(v), len(v) if type(v) in _CONTAINERS else 0)
            for k, v in list(vars(module).items())
            if not isinstance(v, _STATELESS) and not (k.startswith("__") and k.endswith("__")) and "cache" not in k.lower()
        }


#: What functions that change a module's settings are called.
_SETTER = re.compile(r"_?(add|set|register|unregister|install|enable|disable|configure|init|use|update|reset|clear|remove)")
_CONTAINERS = (dict, list, set)
_CONSTANTS = (str, bytes, float, tuple, frozenset)
_NAMED = (types.FunctionType, types.BuiltinFunctionType, type)
#: Kept in other ways, or changed by the interpreter all the time.
_UNWATCHED = frozenset(
    {"builtins", "sys", "__main__", "gc", "os", "warnings", "logging", "random", "threading", "re", "asyncio", "weakref", "time", "signal"}
)


class Watch:
    """What the attributes that a cell may set were before it ran.

    Args:
        namespace: where the search for modules and classes begins.
        space: tells the author's classes, which are kept in another way.
    """

    def __init__(self, namespace: dict[str, Any], space: Space) -> None:
        self._namespace, self._space = namespace, space
        self._before: dict[tuple[str, str], Any] = {}

    def before(self, names: Iterable[str], attributes: frozenset[str]) -> None:
        """Remember the attributes that may be set, of what the names lead to."""
        self._before = dict(self._attributes(names, attributes))

    def changed(self, names: Iterable[str], attributes: frozenset[str]) -> set[str]:
        """Addresses of attributes that were set or deleted since."""
        found = set()
        after = dict(self._attributes(names, attributes))
        for key in after.keys() | self._before.keys():
            old = self._before.get(key, _first_value(key))
            if after.get(key, ABSENT) is not old:
                found.add("|".join(key))
        return found

    def _attributes(self, names: Iterable[str], attributes: frozenset[str]) -> Iterable[tuple[tuple[str, str], Any]]:
        if not attributes:
            return
        wanted = set(names)
        seen: set[int] = set()
        work: list[Any] = [self._namespace[n] for n in wanted if n in self._namespace]
        work += [sys.modules[n] for n in wanted if n in sys.modules and n != "__main__"]
        while work:
            owner = work.pop()
            if id(owner) in seen:
                continue
            seen.add(id(owner))
            if issubclass(type(owner), types.ModuleType):
                place = owner.__name__
                if sys.modules.get(place) is not owner or place == "__main__":
                    continue
            elif issubclass(type(owner), type):
                if self._space.is_user_class(owner) or owner.__module__ == "builtins":
                    continue
                place = f"{owner.__module__}:{owner.__qualname__}"
            else:
                continue
            own = vars(owner)
            work += [own[n] for n in wanted if n in own and isinstance(own[n], types.ModuleType | type)]
            for attribute in attributes:
                if attribute in own and not isinstance(own[attribute], types.ModuleType):
                    yield (place, attribute), own[attribute]


def _first_value(key: tuple[str, str]) -> Any:
    """What a module imported by the cell itself has under an attribute is taken as it came."""
    return ABSENT

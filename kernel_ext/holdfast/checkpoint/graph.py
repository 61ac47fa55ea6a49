"""Which mutable objects a unit reaches, and which units share some: they form a component."""

from __future__ import annotations

import enum
import gc
import logging
import re
import sys
import types
import weakref
from collections.abc import Iterable
from itertools import compress
from typing import Any

from holdfast.checkpoint import functions, library
from holdfast.checkpoint.reducer import Reducer
from holdfast.checkpoint.space import Space

_SKIP, _MUTABLE, _FOLLOW, _FUNCTION, _WEAK, _ARRAY, _METHOD, _RECORD, _PARTS, _MODULE = range(10)
_LEAVES = "datetime:datetime datetime:date datetime:time datetime:timedelta datetime:timezone decimal:Decimal fractions:Fraction uuid:UUID"


class Kinds(dict[type, int]):
    """How each type is walked; unknown types are classified at first sight.

    Args:
        reducers: types that have one are recorded and not entered, unless their reducer says so.
    """

    def __init__(self, reducers: dict[str, Reducer]) -> None:
        super().__init__(_BASIC)
        self._reducers = reducers
        self._lasting: Kinds | None = None

    def for_one_walk(self) -> Kinds:
        """A copy that may remember the author's classes too, because it does not live long."""
        made = Kinds(self._reducers)
        made.update(self)
        made._lasting = self
        return made

    def __missing__(self, cls: type) -> int:
        reducer = library.find(self._reducers, cls, False)
        kind = _classify(cls)
        if reducer is not None and not reducer.follow:
            kind = _RECORD if reducer.parts is None else _PARTS
        if self._lasting is not None:
            self[cls] = kind
        if sys.modules.get(cls.__module__) is not None and cls.__module__ != "__main__":
            (self if self._lasting is None else self._lasting)[cls] = kind
        return kind

    def parts(self, o: Any) -> list[Any]:
        """What ``o`` holds that the garbage collector does not see."""
        reducer = library.find(self._reducers, type(o), False)
        return reducer.parts(o) if reducer is not None and reducer.parts is not None else []


def _classify(cls: type) -> int:
    if cls is re.Pattern:
        return _SKIP
    if issubclass(cls, type | types.ModuleType | logging.Logger | enum.Enum):
        return _SKIP
    if issubclass(cls, weakref.ref) or cls in (weakref.ProxyType, weakref.CallableProxyType):
        return _WEAK
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if issubclass(cls, numpy.ndarray):
            return _ARRAY
        if issubclass(cls, numpy.generic | numpy.dtype):
            return _SKIP
    if f"{cls.__module__}:{cls.__qualname__}" in _LEAVES.split():
        return _SKIP
    return _MUTABLE


_BASIC: dict[type, int] = {}
for _t in (
    type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented), range, type, types.CodeType,
    types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
):  # fmt: skip
    _BASIC[_t] = _SKIP
_BASIC[tuple] = _BASIC[frozenset] = _BASIC[types.BuiltinMethodType] = _BASIC[types.MethodWrapperType] = _FOLLOW
_BASIC[types.ModuleType] = _MODULE
_BASIC[types.FunctionType] = _FUNCTION
_BASIC[types.MethodType] = _METHOD

#: Attributes of a class that are no state of the author's.
_CLASS_PLUMBING = frozenset(
    {"__dict__", "__weakref__", "__module__", "__doc__", "__abstractmethods__", "_abc_impl", "__qualname__", "__slots__"}
)


class Walk:
    """Which unit reaches which mutable object. Each object is visited once; two units that meet are joined.

    Args:
        space: whose functions are entered.
        kinds: how each type is walked.
        specials: dicts that are referred to and never entered: id -> (key, dict).
    """

    def __init__(self, space: Space, kinds: Kinds, specials: dict[int, tuple[str, Any]]) -> None:
        self._space, self._kinds, self._specials = space, kinds.for_one_walk(), specials
        self.owners: dict[int, str] = {}  # id of a mutable object -> the unit that was first to reach it
        self.ids: dict[str, set[int]] = {}  # unit -> mutable objects that it was first to reach
        self.specials: dict[str, dict[int, tuple[str, Any]]] = {}  # unit -> special dicts met
        self.groups = Groups()

    def visit(self, unit: str, root: Any) -> None:
        """Walk breadth first over what the garbage collector sees; classes, modules and library functions are not entered."""
        kinds, owners = self._kinds, self.owners
        mine = self.ids.setdefault(unit, set())
        followed: set[int] = set()
        self.groups.find(unit)
        level = [v for k, v in vars(root).items() if k not in _CLASS_PLUMBING] if issubclass(type(root), type) else [root]
        while level:
            held = list(compress(level, map(kinds.__getitem__, map(type, level))))
            found = dict(zip(map(id, held), held, strict=True))
            if owners:
                known = found.keys() & owners.keys()
                for other in {owners[key] for key in known}:
                    self.groups.join(other, unit)
                for key in known:
                    del found[key]
            for key in found.keys() & self._specials.keys():
                self.specials.setdefault(unit, {})[key] = self._specials[key]
                del found[key]
            following, extra = self._sort(found, followed)
            owners.update(dict.fromkeys(found, unit))
            mine.update(found)
            level = gc.get_referents(*following) if following else []
            level += extra

    def _sort(self, found: dict[int, Any], followed: set[int]) -> tuple[list[Any], list[Any]]:
        """What to follow by the collector and what by hand; leaves in ``found`` what is to be recorded."""
        kinds = self._kinds
        following: list[Any] = []
        extra: list[Any] = []
        special = list(map(kinds.__getitem__, map(type, found.values())))
        if set(special) <= {_MUTABLE}:
            return list(found.values()), extra
        for kind, (key, o) in zip(special, list(found.items()), strict=True):
            if kind == _MUTABLE:
                following.append(o)
                continue
            if kind == _FOLLOW:
                del found[key]
                if key not in followed:
                    followed.add(key)
                    following.append(o)
            elif kind == _MODULE:
                if functions.is_put_away_whole(o):
                    extra.append(vars(o))
                else:
                    del found[key]
            elif kind == _FUNCTION and o.__globals__ is not self._space.namespace and functions.is_importable(o):
                del found[key]
            elif kind == _PARTS:
                extra += kinds.parts(o)
            elif kind != _RECORD:
                extra += self._parts(kind, o)
        return following, extra

    def apart(self) -> Walk:
        """A walk of its own over the same space."""
        return Walk(self._space, self._kinds, self._specials)

    def all_ids(self) -> frozenset[int]:
        """Everything met."""
        return frozenset(self.owners)

    def all_specials(self) -> dict[int, tuple[str, Any]]:
        """All special dicts met."""
        return {k: v for found in self.specials.values() for k, v in found.items()}

    def _parts(self, kind: int, o: Any) -> list[Any]:
        if kind == _FUNCTION:
            parts = [o.__defaults__, o.__kwdefaults__, o.__closure__, o.__dict__, o.__annotations__]
            scope = o.__globals__
            if scope is not self._space.namespace and not functions.is_module_scope(scope):
                parts.append(scope)
            return parts
        if kind == _METHOD:
            return [o.__self__] if functions.is_plain_method(o) else [o.__self__, o.__func__]
        if kind == _WEAK:
            return [o(), o.__callback__] if issubclass(type(o), weakref.ref) else [proxied(o)]  # a dead proxy has no __class__
        parts = [o.base]
        if o.dtype.hasobject:
            parts += o.ravel().tolist()
        if type(o) is not sys.modules["numpy"].ndarray:
            parts.append(getattr(o, "__dict__", None))
        return parts


def proxied(o: Any) -> Any:
    """What a ``weakref.proxy`` stands for; None when it is gone."""
    try:
        return o.__reduce_ex__.__self__
    except ReferenceError:
        return None


class Groups:
    """Union-find over units by key."""

    def __init__(self) -> None:
        self._parent: dict[Any, Any] = {}

    def find(self, a: Any) -> Any:
        parent = self._parent
        parent.setdefault(a, a)
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        return a

    def join(self, a: Any, b: Any) -> None:
        self._parent[self.find(b)] = self.find(a)

    def groups(self, members: Iterable[Any]) -> list[list[Any]]:
        found: dict[Any, list[Any]] = {}
        for member in members:
            found.setdefault(self.find(member), []).append(member)
        return list(found.values())

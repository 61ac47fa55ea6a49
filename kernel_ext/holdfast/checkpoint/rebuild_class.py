"""What pickles of classes call when they load. Like :mod:`rebuild`, addresses that stored checkpoints hold."""

from __future__ import annotations

import enum
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from holdfast.checkpoint import rebuild
from holdfast.checkpoint import space as spaces

MEMBER_FIELDS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"})
_VALUE_BASES: tuple[type, ...] = (int, float, complex, str, bytes, tuple, frozenset)


def make_class(
    token: str,
    meta: type,
    maker: type,
    name: str,
    qualname: str,
    module: str,
    bases: tuple[type, ...],
    slots: tuple[str, ...] | None,
    original_bases: tuple[Any, ...] | None = None,
) -> type:
    """The bare class, known by its token from now on. A class that the token has already is taken as it is."""
    space = spaces.current()
    found = space.known(token)
    if found is not None:
        return found
    body: dict[str, Any] = {"__module__": module, "__qualname__": qualname}
    if original_bases is not None:
        body["__orig_bases__"] = original_bases
    if slots is not None:
        body["__slots__"] = tuple(_unmangled(s, name) for s in slots)
    with _quiet(bases):
        made: type = maker.__new__(meta, name, bases, body)
    space.bind(token, made)
    return made


def make_ctypes(
    token: str, meta: type, name: str, qualname: str, module: str, bases: tuple[type, ...], layout: dict[str, Any], rest: dict[str, Any]
) -> type:
    """A ``ctypes`` structure or union."""
    space = spaces.current()
    found = space.known(token)
    if found is not None:
        return found
    made: type = meta(name, bases, {"__module__": module, "__qualname__": qualname, **rest, **layout})
    space.bind(token, made)
    return made


def _unmangled(slot: str, cls: str) -> str:
    prefix = f"_{cls.lstrip('_')}__"
    return slot[len(prefix) - 2 :] if slot.startswith(prefix) else slot


@contextmanager
def _quiet(bases: tuple[type, ...]) -> Iterator[None]:
    """No ``__init_subclass__`` of the author's runs: what it did is in the state that is being restored."""
    space = spaces.current()
    silenced = []
    for base in {k for b in bases for k in b.__mro__}:
        if "__init_subclass__" in vars(base) and space.is_user_class(base):
            silenced.append((base, vars(base)["__init_subclass__"]))
            type.__setattr__(base, "__init_subclass__", classmethod(lambda cls, **_: None))
    try:
        yield
    finally:
        for base, original in silenced:
            type.__setattr__(base, "__init_subclass__", original)


def fill_class(target: Any, state: dict[str, Any]) -> None:
    """Attributes as they were; those that are there and were not then are removed."""
    attributes = dict(state["attributes"])
    if "slots" in state:
        attributes["__slots__"] = state["slots"]
    keep = set(attributes) | {"__dict__", "__weakref__", "_abc_impl", "__abstractmethods__", "__doc__", "__module__", "__qualname__"}
    for name in [k for k, v in vars(target).items() if k not in keep and type(v) is not _MEMBER]:
        type.__delattr__(target, name)
    if "__class__" in attributes:  # what a proxy says it is; setting it would change the class of the class
        gc.get_referents(vars(target))[0]["__class__"] = attributes.pop("__class__")
        type.__setattr__(target, "__module__", target.__module__)  # tells the interpreter that the class changed
    for name, value in attributes.items():
        if vars(target).get(name, target) is not value:
            try:
                type.__setattr__(target, name, value)
            except (AttributeError, TypeError):
                if name not in {"__doc__", "__match_args__"}:
                    raise
    if state["abstract"] is not None:
        type.__setattr__(target, "__abstractmethods__", state["abstract"])
    for other in state["registered"]:
        type(target).register(target, other)
    if not spaces.current().trial:
        for abstract in state.get("registered_in", ()):
            abstract.register(target)


class _Slotted:
    __slots__ = ("a",)


_MEMBER = type(vars(_Slotted)["a"])


# -- enumerations


class _Raw:
    """Carries a member's value through ``EnumType`` without running the author's ``__new__`` or ``__init__``."""

    def __init__(self, value: Any, base: Any) -> None:
        self.value, self.base = value, base


def base_value(cls: Any, member: Any) -> Any:
    """The built-in value of a member whose class mixes in a data type; None when it does not."""
    value = member._value_
    base = next((b for b in _VALUE_BASES if isinstance(member, b)), None)
    if base is None:
        return None
    return value if type(value) is base else _plain(base, member)


def _plain(base: type, member: Any) -> Any:
    if base is str:
        return str.__str__(member)
    if base in (tuple, frozenset):
        return base(iter(member))
    if base is bytes:
        return bytes.__getitem__(member, slice(None))
    number: Any = base
    return number.__pos__(member)


def enum_skeleton_names() -> frozenset[str]:
    """Attributes that ``EnumType`` makes itself."""
    made = set(vars(enum.Enum("_E", "A"))) | set(vars(enum.IntFlag("_F", "A"))) | set(vars(enum.StrEnum("_S", "A")))
    made -= {"__doc__", "A", "__format__", "__str__", "__repr__", "__reduce_ex__", "_generate_next_value_", "_missing_", "__module__"}
    return frozenset(made | {"__new_member__", "_new_member_"})


def make_enum(
    token: str,
    meta: Any,
    name: str,
    qualname: str,
    module: str,
    bases: tuple[type, ...],
    members: dict[str, tuple[Any, Any]],
    boundary: str | None,
) -> Any:
    """An enumeration with its members."""
    space = spaces.current()
    found = space.known(token)
    if found is not None:
        return found
    data = next((b for b in _VALUE_BASES for c in bases if issubclass(c, b)), object)

    def new(cls: type, raw: Any) -> Any:
        if not isinstance(raw, _Raw):
            raw = _Raw(raw, raw)
        constructor: Any = data.__new__
        made: Any = constructor(cls) if data is object else constructor(cls, raw.base)
        made._value_ = raw.value
        return made

    body = meta.__prepare__(name, bases)
    body["__module__"], body["__qualname__"] = module, qualname
    if members:
        body["__new__"] = new
        body["__init__"] = lambda self, *_: None
    for key, (value, base) in members.items():
        body[key] = _Raw(value, base)
    with _quiet(bases):
        made = meta.__new__(meta, name, bases, body, **({"boundary": enum.FlagBoundary[boundary]} if boundary else {}))
    for member in made.__members__.values():
        vars(member).pop("_args_", None)
    if members:
        type.__delattr__(made, "__init__")
        _give_new_back(made, bases)
    space.bind(token, made)
    return made


def _give_new_back(made: Any, bases: tuple[type, ...]) -> None:
    """``EnumType`` keeps the constructor of members aside; a later pseudo member of a Flag needs the data type's own."""
    inherited = next((getattr(b, "_new_member_", None) for b in bases if getattr(b, "_new_member_", None) is not None), object.__new__)
    data = next((b for b in _VALUE_BASES if issubclass(made, b)), object)
    own = data.__new__ if inherited is object.__new__ else inherited
    type.__setattr__(made, "_new_member_", own)
    type.__setattr__(made, "__new_member__", own)
    type.__setattr__(made, "_use_args_", own is not object.__new__)


def fill_enum(target: Any, state: dict[str, Any]) -> None:
    for name, value in state["attributes"].items():
        if vars(target).get(name, target) is not value:
            type.__setattr__(target, name, value)
    for name, extra in state["extras"].items():
        vars(target.__members__[name]).update(extra)


__all__ = ["MEMBER_FIELDS", "base_value", "enum_skeleton_names", "fill_class", "fill_enum", "make_class", "make_enum", "rebuild"]

"""Reductions of classes: by token where one is used, by value in the one component that defines it."""

from __future__ import annotations

import abc
import collections.abc
import contextlib
import enum
import importlib
import numbers
import operator
import os
import types
import typing
import weakref
from typing import TYPE_CHECKING, Any

from holdfast.checkpoint import rebuild_class
from holdfast.checkpoint.space import is_importable, unnamed

if TYPE_CHECKING:
    from holdfast.checkpoint.pickler import ComponentPickler

#: Never copied: made by the interpreter for each class, or put back by other means.
_SKIPPED = frozenset({"__dict__", "__weakref__", "_abc_impl", "__abstractmethods__", "__slots__"})
#: Abstract classes of the standard library that classes are registered with.
_ABSTRACT: tuple[Any, ...] = tuple(
    {v: None for m in (collections.abc, numbers, os, contextlib) for v in vars(m).values() if type(v) is abc.ABCMeta}
)
_abc: Any = importlib.import_module("_abc")
#: Metaclasses of libraries whose classes can be made from their parts.
_PLAIN_METACLASSES: set[type] = {type, abc.ABCMeta, type(typing.Protocol)}


def reduce_class(pickler: ComponentPickler, cls: type) -> Any:
    """The reduction of a class met while pickling."""
    space = pickler.space
    if not space.is_user_class(cls):
        if type(cls).__module__ == "_ctypes" and hasattr(cls, "_length_"):
            kind: Any = cls
            return operator.mul, (kind._type_, kind._length_)
        name = unnamed(cls)
        if name is not None:
            return rebuild_class.rebuild.type_named, (name,)
        if not is_importable(cls):
            raise pickler.cannot(cls, "a type that no module names")
        return NotImplemented
    if id(cls) not in pickler.by_value:
        token = space.token(cls)
        pickler.classes.add(token)
        return rebuild_class.rebuild.cls, (token,)
    return _by_value(pickler, cls)


def metaclass_of_library(cls: type) -> type | None:
    """The first class in the metaclass's MRO that can make classes from their parts, None when there is an unknown one before it."""
    metas: tuple[type, ...] = type.__getattribute__(type(cls), "__mro__")
    for meta in metas:
        if meta in _PLAIN_METACLASSES:
            return meta
        if meta.__module__ not in {"__main__", "__mp_main__"}:
            return None
    return type


def _by_value(pickler: ComponentPickler, cls: type) -> Any:
    token = pickler.space.token(cls)
    for name in cls.__dict__.values():
        _mention(pickler, name)
    if isinstance(cls, enum.EnumMeta):
        return _reduce_enum(pickler, cls, token)
    if type(cls).__module__ == "_ctypes" and "_fields_" in vars(cls):
        return rebuild_class.make_ctypes, (
            token,
            type(cls),
            cls.__name__,
            cls.__qualname__,
            cls.__module__,
            cls.__bases__,
            *_ctypes_parts(cls),
        )
    maker = metaclass_of_library(cls)
    if maker is None:
        raise pickler.cannot(cls, f"its metaclass {type(cls).__qualname__} makes it in its own way")
    attributes = {k: v for k, v in vars(cls).items() if k not in _SKIPPED and not _is_slot(cls, v) and not _is_dict_getter(cls, k, v)}
    state: dict[str, Any] = {
        "attributes": attributes,
        "meta": None,
        "abstract": getattr(cls, "__abstractmethods__", None),
        "registered": (),
    }
    state["registered_in"] = tuple(a for a in _ABSTRACT if any(r() is cls for r in _abc._get_dump(a)[0]))
    if "__slots__" in vars(cls):
        state["slots"] = vars(cls)["__slots__"]
    if isinstance(cls, abc.ABCMeta):
        state["registered"] = _registered(cls)
    arguments = (
        token,
        type(cls),
        maker,
        cls.__name__,
        cls.__qualname__,
        cls.__module__,
        cls.__bases__,
        _slot_names(cls),
        vars(cls).get("__orig_bases__"),
    )
    return rebuild_class.make_class, arguments, state, None, None, rebuild_class.fill_class


def _ctypes_parts(cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """What makes the layout of a ``ctypes`` structure, and its other attributes."""
    layout = {k: v for k, v in vars(cls).items() if k in {"_fields_", "_pack_", "_anonymous_"}}
    fields = {f[0] for f in vars(cls)["_fields_"]}
    rest = {
        k: v
        for k, v in vars(cls).items()
        if k not in layout and k not in fields and k not in _SKIPPED and k not in {"__doc__", "__module__"}
    }
    return layout, rest


def _mention(pickler: ComponentPickler, value: Any) -> None:
    for part in (value, getattr(value, "__func__", None), getattr(value, "__wrapped__", None)):
        if isinstance(part, types.FunctionType):
            pickler.mention(part.__code__)
    if isinstance(value, property):
        for accessor in (value.fget, value.fset, value.fdel):
            if isinstance(accessor, types.FunctionType):
                pickler.mention(accessor.__code__)


def _is_slot(cls: type, value: Any) -> bool:
    return type(value) is types.MemberDescriptorType and value.__objclass__ is cls


def _is_dict_getter(cls: type, name: str, value: Any) -> bool:
    return type(value) is types.GetSetDescriptorType and name in {"__dict__", "__weakref__"}


def _slot_names(cls: type) -> tuple[str, ...] | None:
    if "__slots__" not in vars(cls):
        return None
    names = [k for k, v in vars(cls).items() if _is_slot(cls, v)]
    names += [k for k in ("__dict__", "__weakref__") if k in vars(cls) and type(vars(cls)[k]) is types.GetSetDescriptorType]
    return tuple(names)


def _registered(cls: abc.ABCMeta) -> tuple[type, ...]:
    references = _abc._get_dump(cls)[0]
    return tuple(
        sorted((c for c in (r() if isinstance(r, weakref.ref) else r for r in references) if c is not None), key=lambda c: c.__qualname__)
    )


def _reduce_enum(pickler: ComponentPickler, cls: Any, token: str) -> Any:
    if type(cls) is not enum.EnumMeta and pickler.space.is_user_class(type(cls)):
        raise pickler.cannot(cls, "an Enum with a metaclass of its own")
    made = rebuild_class.enum_skeleton_names()
    members = {}
    extras = {}
    for name, member in cls.__members__.items():
        members[name] = (member._value_, rebuild_class.base_value(cls, member))
        own = {k: v for k, v in vars(member).items() if k not in rebuild_class.MEMBER_FIELDS}
        if own:
            extras[name] = own
    attributes = {
        k: v
        for k, v in vars(cls).items()
        if k not in _SKIPPED and k not in made and k not in members and not isinstance(v, cls) and not _is_slot(cls, v)
    }
    for name, value in list(attributes.items()):
        if isinstance(value, types.DynamicClassAttribute) and type(value).__module__ == "enum":
            del attributes[name]
    boundary = getattr(cls, "_boundary_", None)
    arguments = (
        token,
        type(cls),
        cls.__name__,
        cls.__qualname__,
        cls.__module__,
        cls.__bases__,
        members,
        boundary.name if boundary else None,
    )
    return rebuild_class.make_enum, arguments, {"attributes": attributes, "extras": extras}, None, None, rebuild_class.fill_enum


def reduce_member(pickler: ComponentPickler, member: enum.Enum) -> Any:
    """An Enum member by name; an unnamed Flag by value."""
    from holdfast.checkpoint import rebuild

    cls = type(member)
    name = member._name_ if member._name_ in cls.__members__ and cls.__members__[member._name_] is member else None
    return rebuild.enum_member, (cls, name, None if name is not None else member._value_)

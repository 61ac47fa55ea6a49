"""Reductions of instances of the author's classes: by structure, so that no ``__getstate__``, ``__reduce__``, ``__new__`` or
``__init__`` runs or loses anything."""

from __future__ import annotations

import collections
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.checkpoint import rebuild

if TYPE_CHECKING:
    from holdfast.checkpoint.pickler import ComponentPickler

#: Bases whose contents are the argument of ``__new__``.
_VALUES: tuple[type, ...] = (int, float, complex, str, bytes, tuple, frozenset)
_CONTENTS: dict[type, Callable[[Any], tuple[str, Any]]] = {
    collections.OrderedDict: lambda o: ("OrderedDict", tuple(collections.OrderedDict.items(o))),
    collections.defaultdict: lambda o: ("defaultdict", (o.default_factory, tuple(dict.items(o)))),
    collections.deque: lambda o: ("deque", (o.maxlen, tuple(collections.deque.__iter__(o)))),
    dict: lambda o: ("dict", tuple(dict.items(o))),
    list: lambda o: ("list", tuple(list.__iter__(o))),
    set: lambda o: ("set", tuple(set.__iter__(o))),
    bytearray: lambda o: ("bytearray", bytes(o)),
    property: lambda o: ("property", (o.fget, o.fset, o.fdel, o.__doc__)),
    classmethod: lambda o: ("classmethod", (o.__func__,)),
    staticmethod: lambda o: ("staticmethod", (o.__func__,)),
}
_HOOKS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__", "__copy__")
_HEAP, _IMMUTABLE = 1 << 9, 1 << 8
#: Exception attributes kept in C fields.
_EXCEPTION_FIELDS = (
    "errno strerror filename filename2 characters_written name path msg code value obj lineno offset text end_lineno end_offset "
    "print_file_and_line encoding object start end reason name_from"
).split()


def is_in_python(cls: type) -> bool:
    """Whether a ``class`` statement made ``cls``: C types have a maker of their own, or none."""
    own_maker = getattr(vars(cls).get("__new__"), "__self__", None) is cls
    return bool(cls.__flags__ & _HEAP) and not cls.__flags__ & _IMMUTABLE and not own_maker


def slots_of(cls: type) -> list[tuple[type, str, Any]]:
    """``(owner, name, descriptor)`` of every slot in the classes of ``cls``."""
    found = []
    for owner in cls.__mro__:
        if is_in_python(owner):
            for name, value in vars(owner).items():
                if type(value) is types.MemberDescriptorType and value.__objclass__ is owner:
                    found.append((owner, name, value))
    return found


def solid_base(cls: type) -> type:
    """The first class of the MRO that is written in C: what ``__new__`` must be taken from."""
    for base in cls.__mro__:
        if not is_in_python(base):
            return base
    return object


def is_plain(cls: type) -> bool:
    """Whether the default protocol does the same as :func:`reduce_instance`, only faster."""
    if solid_base(cls) is not object or slots_of(cls) or cls.__flags__ & (1 << 4):
        return False
    if cls.__dictoffset__ == 0 or _hash_of(cls) not in _PLAIN_HASHES:
        return False
    for owner in cls.__mro__[:-1]:
        if any(hook in vars(owner) for hook in _HOOKS) or "__dict__" in vars(owner) and isinstance(vars(owner)["__dict__"], property):
            return False
    reading: Any = cls.__getattribute__
    return reading is object.__getattribute__


def can_reduce(cls: type) -> bool:
    """Whether instances of ``cls`` can be put away by structure."""
    base = solid_base(cls)
    return base is object or base in _VALUES or base in _CONTENTS


def reduce_instance(pickler: ComponentPickler, o: Any) -> Any:
    """An instance by structure: class, attributes, slots, contents of a built-in base."""
    cls = type(o)
    base = solid_base(cls)
    arguments: tuple[Any, ...] = ()
    contents = None
    if base in _VALUES:
        arguments = (_value(base, o),)
    elif base is not object:
        contents = _CONTENTS[base](o)
    attributes = _dict_of(o, cls)
    slots = []
    for owner, name, descriptor in slots_of(cls):
        try:
            slots.append((owner, name, descriptor.__get__(o, cls)))
        except AttributeError:
            continue
    early: tuple[Any, ...] = ()
    if _hash_of(cls) not in _PLAIN_HASHES:
        early = _early(attributes, slots)
        pickler.fragile = pickler.fragile or len(early) < len(attributes or ()) + len(slots)
    return rebuild.instance, (cls, base, arguments, early), (attributes, tuple(slots), contents), None, None, rebuild.fill_instance


#: Hashes that need no attribute.
_PLAIN_HASHES: tuple[Any, ...] = (object.__hash__, None, int.__hash__, str.__hash__, float.__hash__, bytes.__hash__, complex.__hash__)
_ATOMS = (int, float, complex, str, bytes, type(None))


def _hash_of(cls: type) -> Any:
    return cls.__hash__


def _early(attributes: dict[str, Any] | None, slots: list[tuple[type, str, Any]]) -> tuple[Any, ...]:
    """Attributes without references: present before the object can be put into a set or dict inside its own state."""
    found = [(None, k, v) for k, v in (attributes or {}).items() if _is_flat(v)]
    return (*found, *(s for s in slots if _is_flat(s[2])))


def _is_flat(value: Any) -> bool:
    return type(value) in _ATOMS or type(value) is bool or type(value) in (tuple, frozenset) and all(_is_flat(v) for v in value)


def _dict_of(o: Any, cls: type) -> dict[str, Any] | None:
    if cls.__dictoffset__ == 0:
        return None
    attributes: Any = object.__getattribute__(o, "__dict__")
    return attributes if issubclass(type(attributes), dict) else None


def _value(base: type, o: Any) -> Any:
    if base is str:
        return str.__str__(o)
    if base is tuple:
        return tuple(tuple.__iter__(o))
    if base is frozenset:
        return frozenset(frozenset.__iter__(o))
    if base is bytes:
        return bytes.__getitem__(o, slice(None))
    if base is complex:
        return complex(complex.__pos__(o))
    number: Any = base
    return number.__pos__(o)


def reduce_exception(pickler: ComponentPickler, error: BaseException) -> Any:
    """An exception with cause, context and attributes; its traceback is lost, which is flagged."""
    cls = type(error)
    if error.__traceback__ is not None:
        pickler.lose(f"the traceback of {cls.__name__}", "keep what you need of it as text: traceback.format_exc()")
    fields = {}
    for name in _EXCEPTION_FIELDS:
        if any(name in vars(k) for k in cls.__mro__ if k.__module__ == "builtins"):
            value = getattr(error, name, None)
            if value is not None:
                fields[name] = value
    members = getattr(error, "exceptions", None) if isinstance(error, BaseExceptionGroup) else None
    attributes = object.__getattribute__(error, "__dict__")
    state = {
        "args": error.args,
        "fields": fields,
        "attributes": attributes,
        "cause": error.__cause__,
        "context": error.__context__,
        "suppress": error.__suppress_context__,
    }
    arguments = (error.message, list(members)) if members is not None else _plain_arguments(error)  # type: ignore[attr-defined]
    if members is not None:
        state["args"] = arguments
    return rebuild.exception, (cls, arguments), state, None, None, rebuild.fill_exception


def _plain_arguments(error: BaseException) -> tuple[Any, ...]:
    # a cycle through args would make the reduction endless; args are set again by the state
    return error.args if all(isinstance(a, str | int | float | bytes | None) for a in error.args) else ()

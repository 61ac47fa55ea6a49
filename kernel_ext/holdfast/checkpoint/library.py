"""Objects of libraries: which ones pickle faithfully, which are singletons to be referred to, and what is lost otherwise."""

from __future__ import annotations

import copyreg
import sys
import types
from typing import TYPE_CHECKING, Any

from holdfast.checkpoint import objects, rebuild

if TYPE_CHECKING:
    from holdfast.checkpoint.pickler import ComponentPickler
    from holdfast.checkpoint.reducer import Reducer

#: Packages whose pickles keep all that matters; what they drop are caches.
_TRUSTED_PACKAGES = frozenset(
    {"numpy", "pandas", "datetime", "zoneinfo", "decimal", "fractions", "uuid", "ipaddress", "pathlib", "collections", "re", "random"}
)
_TRUSTED_TYPES: set[type] = {slice, range, types.SimpleNamespace, bytearray, complex, types.GenericAlias, types.UnionType}


#: Modules of the interpreter whose types load when they pickle.
_NATIVE = frozenset(
    {"builtins", "itertools", "functools", "_operator", "operator", "types", "_collections", "_struct", "array", "_io", "_random"}
)
#: Types of which an instance was loaded again, and types for which that failed; known for the life of the process.
PROVEN: set[type] = set()
BROKEN: set[type] = set()


def is_trusted(cls: type) -> bool:
    """Whether the default protocol is known to be faithful for ``cls``."""
    return cls in _TRUSTED_TYPES or cls.__module__.partition(".")[0] in _TRUSTED_PACKAGES


def find(reducers: dict[str, Reducer], cls: type, user: bool) -> Reducer | None:
    """The reducer of ``cls``: its own, or that of a base class that offers it to subclasses."""
    own = reducers.get(f"{cls.__module__}:{cls.__qualname__}")
    if own is not None:
        return own
    for base in cls.__mro__[1:-1]:
        found = reducers.get(f"{base.__module__}:{base.__qualname__}")
        if found is not None and found.subclasses:
            return found
    return None


def reduce_generic(pickler: ComponentPickler, o: Any) -> Any:
    """What the object's own protocol says, after looking whether it is a library's singleton and whether the protocol drops something."""
    cls = type(o)
    name = _name_in_library(cls, o)
    if name is not None:
        if cls.__dictoffset__ and getattr(o, "__dict__", None):
            return rebuild.library_object, (cls, cls.__module__, name), dict(vars(o)), None, None, rebuild.set_attributes
        return rebuild.global_of, (cls.__module__, name)
    if cls in BROKEN:
        raise pickler.cannot(o, "its pickle does not load")
    special = copyreg.dispatch_table.get(cls)
    try:
        reduced = special(o) if special is not None else o.__reduce_ex__(5)
    except Exception as error:
        raise pickler.cannot(o, str(error)) from error
    if isinstance(reduced, str):
        if getattr(o, "__module__", None) in {"__main__", None}:
            return _own_structure(pickler, o)
        if _resolves(cls, o, reduced):
            return reduced
        raise pickler.cannot(o, "it is not found under its own name")
    if cls not in PROVEN and cls.__module__ not in _NATIVE:
        pickler.unproven.add(cls)
    _note_losses(pickler, o, reduced)
    return reduced


def _own_structure(pickler: ComponentPickler, o: Any) -> Any:
    """Library objects that pickle by a name in ``__main__`` (type variables, ``NewType``): by value instead."""
    cls = type(o)
    if cls.__module__ == "typing" and cls.__name__ in {"TypeVar", "ParamSpec", "TypeVarTuple"} and not cls.__flags__ & (1 << 9):
        raise pickler.cannot(o, "a type variable")
    if objects.can_reduce(cls):
        return objects.reduce_instance(pickler, o)
    raise pickler.cannot(o, "it is not found under its own name")


def _name_in_library(cls: type, o: Any) -> str | None:
    module = sys.modules.get(cls.__module__)
    if module is None or cls.__module__ in {"__main__", "builtins"}:
        return None
    for name, value in list(vars(module).items()):
        if value is o:
            return name
    return None


def _resolves(cls: type, o: Any, name: str) -> bool:
    module = getattr(o, "__module__", None) or cls.__module__
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is o


def _note_losses(pickler: ComponentPickler, o: Any, reduced: Any) -> None:
    cls = type(o)
    if getattr(cls, "__getstate__", None) is getattr(object, "__getstate__", None) or not hasattr(o, "__dict__"):
        return
    state = reduced[2] if len(reduced) > 2 else None
    if not isinstance(state, dict):
        return
    lost = _still_lost(o, reduced, sorted(k for k in vars(o) if k not in state and vars(o)[k] is not None))
    if lost:
        pickler.lose(f"{', '.join(lost)} of {cls.__qualname__} (its __getstate__ leaves them out)", "set them again after a resume")


_lost: dict[tuple[type, tuple[str, ...]], list[str]] = {}


def _still_lost(o: Any, reduced: Any, missing: list[str]) -> list[str]:
    """Of the attributes that a state leaves out, those that loading does not make anew. Tried once for each type."""
    if not missing:
        return []
    key = (type(o), tuple(missing))
    if key not in _lost:
        try:
            made = reduced[0](*reduced[1])
            setter = getattr(made, "__setstate__", None)
            if setter is not None:
                setter(dict(reduced[2]))
            else:
                vars(made).update(reduced[2])
            _lost[key] = [k for k in missing if k not in vars(made)]
        except Exception:  # whatever a library's own protocol raises
            _lost[key] = missing
    return _lost[key]

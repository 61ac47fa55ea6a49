"""What pickles are bound to: the live namespace, and the user classes known by token."""

from __future__ import annotations

import builtins
import hashlib
import importlib
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_MAIN = frozenset({"__main__", "__mp_main__"})
_current: list[Space] = []


class Space:
    """A namespace and its classes.

    Args:
        namespace: the plain dict in which the author's cells run (``__main__``).
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self._tokens: dict[int, tuple[weakref.ref[type], str]] = {}
        self._classes: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()
        self._library: dict[int, type] = {}
        #: The cell being captured.
        self.cell = ""
        #: Loads the component that defines a token; set while restoring.
        self.resolve: Callable[[str], None] | None = None
        #: Whether loading is only a trial: nothing outside the loaded objects may change.
        self.trial = False
        #: Objects that fill the holes of the component being loaded.
        self.holes: list[Any] = []

    def is_user_class(self, cls: type) -> bool:
        """Whether ``cls`` can only be had by value: defined in a cell, or made at run time and not importable."""
        key = id(cls)
        if key in self._library:
            return False
        if key in self._tokens and self._tokens[key][0]() is cls:
            return True
        if _is_importable(cls) or _is_written_in_c(cls) or type(cls).__module__ == "_ctypes" and hasattr(cls, "_length_"):
            self._library[key] = cls
            return False
        return True

    def token(self, cls: type) -> str:
        """The token of a user class; given at first sight. A cell that every kernel runs anew gives its classes the same tokens again."""
        known = self._tokens.get(id(cls))
        if known is not None and known[0]() is cls:
            return known[1]
        digest = hashlib.blake2b(f"{self.cell}\0{cls.__module__}".encode(), digest_size=5).hexdigest()
        token, n = f"{cls.__qualname__}#{digest}", 1
        while self._classes.get(token) is not None:
            n += 1
            token = f"{cls.__qualname__}#{digest}.{n}"
        self.bind(token, cls)
        return token

    def bind(self, token: str, cls: type) -> None:
        """Make ``token`` mean ``cls``."""
        key = id(cls)
        self._tokens[key] = (weakref.ref(cls), token)
        self._classes[token] = cls

    def known(self, token: str) -> type | None:
        """The live class of a token, if there is one."""
        return self._classes.get(token)

    def cls(self, token: str) -> type:
        """The class of a token, loaded if need be. Raises ``KeyError`` when nothing defines it."""
        found = self._classes.get(token)
        if found is None and self.resolve is not None:
            self.resolve(token)
            found = self._classes.get(token)
        if found is None:
            raise KeyError(token)
        return found

    def specials(self) -> dict[int, tuple[str, Any]]:
        """Dicts that are referred to and never copied: id -> (key for :func:`special`, the dict)."""
        return {
            id(self.namespace): ("namespace", self.namespace),
            id(vars(builtins)): ("builtins", vars(builtins)),
            id(sys.modules): ("modules", sys.modules),
        }

    @contextmanager
    def current(self) -> Iterator[None]:
        """Within: pickles load into this space."""
        _current.append(self)
        try:
            yield
        finally:
            _current.pop()


def current() -> Space:
    """The space that pickles load into now."""
    return _current[-1]


_C_ATTRIBUTES = (types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType, types.BuiltinMethodType)


def _is_written_in_c(cls: type) -> bool:
    """Whether a class comes from C code: it then has wrapped slots or methods of its own, which no ``class`` statement makes."""
    return any(type(v) in _C_ATTRIBUTES and getattr(v, "__objclass__", cls) is cls for v in vars(cls).values())


def is_importable(cls: type) -> bool:
    """Whether a module has ``cls`` under its qualified name."""
    return _is_importable(cls)


def _is_importable(cls: type) -> bool:
    module = cls.__module__
    if not isinstance(module, str) or module in _MAIN:
        return False
    home = sys.modules.get(module)
    if home is None and module.partition(".")[0] in sys.modules:
        try:
            home = importlib.import_module(module)
        except ImportError:
            return False
    found: Any = home
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls or cls in _UNNAMED


#: Built-in types that have no importable name of their own.
_UNNAMED: dict[type, str] = {type(None): "NoneType", type(NotImplemented): "NotImplementedType", type(...): "EllipsisType"}
for _name in dir(types):
    _value = getattr(types, _name)
    if isinstance(_value, type) and _value.__module__ == "builtins":
        _UNNAMED.setdefault(_value, _name)


def unnamed(cls: type) -> str | None:
    """The name in module ``types`` of a built-in type that ``builtins`` does not show."""
    return _UNNAMED.get(cls)

"""What pickles call when they load. The addresses of these functions are in every stored checkpoint: rename none of them."""

from __future__ import annotations

import builtins
import importlib
import marshal
import sys
import types
import weakref
from typing import Any

from holdfast.checkpoint import places
from holdfast.checkpoint import space as spaces


def special(key: str) -> Any:
    """A dict that is referred to, never copied."""
    if key == "namespace":
        return spaces.current().namespace
    if key == "builtins":
        return vars(builtins)
    if key == "modules":
        return sys.modules
    if key.startswith("global:"):
        from holdfast.checkpoint import patches

        return patches.read(key.partition(":")[2])
    return vars(importlib.import_module(key.partition(":")[2]))


def module(name: str, file: str | None = None) -> types.ModuleType:
    """An imported module; a local one from its file where its folder is no longer searched."""
    return places.imported(name, file)


def new_module(name: str) -> types.ModuleType:
    """A module made by hand in a cell."""
    return types.ModuleType(name)


def new_registered_module(name: str) -> types.ModuleType:
    """A module made by hand in a cell and put into ``sys.modules``."""
    made = types.ModuleType(name)
    if not spaces.current().trial:
        sys.modules[name] = made
    return made


def fill_module(target: types.ModuleType, state: dict[str, Any]) -> None:
    vars(target).update(state)


def main_module() -> types.ModuleType:
    return sys.modules["__main__"]


def attribute(owner: Any, name: str) -> Any:
    """``owner.name``, where ``name`` may be dotted."""
    for part in name.split("."):
        owner = getattr(owner, part)
    return owner


def global_of(module_name: str, name: str) -> Any:
    """Something a library holds under a name."""
    return attribute(importlib.import_module(module_name), name)


def library_object(cls: type, module_name: str, name: str) -> Any:
    """The object that a library keeps under a name; a bare one where the library has not made its own yet."""
    found = global_of(module_name, name)
    return found if type(found) is cls else object.__new__(cls)


def type_named(name: str) -> type:
    """A built-in type that only module ``types`` names."""
    extra = {"NoneType": type(None), "NotImplementedType": type(NotImplemented), "EllipsisType": type(...)}
    return extra.get(name) or getattr(types, name)


def hole(number: int) -> Any:
    """What fills a hole; a placeholder when only the shape is wanted."""
    holes = spaces.current().holes
    return holes[number] if number < len(holes) else Absent(number)


class Absent:
    """Stands where something that cannot be pickled was."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return hole, (self.number,)


# -- functions


def function(code: bytes, name: str, closure: tuple[Any, ...] | None, scope: dict[str, Any] | None) -> types.FunctionType:
    """A function bound to the live namespace, or to ``scope``."""
    if scope is None:
        scope = spaces.current().namespace
    else:
        scope.setdefault("__builtins__", builtins)
    return types.FunctionType(marshal.loads(code), scope, name, None, closure)


def fill_function(target: types.FunctionType, state: tuple[Any, ...]) -> None:
    defaults, kwdefaults, module_name, doc, qualname, annotations, attributes, type_params = state
    target.__defaults__, target.__kwdefaults__, target.__module__ = defaults, kwdefaults, module_name
    target.__doc__, target.__qualname__ = doc, qualname
    if annotations:
        target.__annotations__ = annotations
    if attributes is not None:
        target.__dict__ = attributes
    if type_params:
        target.__type_params__ = type_params  # type: ignore[attr-defined]


def cell() -> types.CellType:
    return types.CellType()


def fill_cell(target: types.CellType, state: tuple[Any]) -> None:
    target.cell_contents = state[0]


def code_object(data: bytes) -> types.CodeType:
    return marshal.loads(data)  # type: ignore[no-any-return]


# -- objects


def cls(token: str) -> type:
    """A user class by token."""
    return spaces.current().cls(token)


def sentinel() -> object:
    return object()


def instance(kind: type, base: type, arguments: tuple[Any, ...], early: tuple[Any, ...] = ()) -> Any:
    """An object made without running the author's ``__new__`` or ``__init__``; ``early`` are attributes that its hash may need."""
    made = base.__new__(kind, *arguments)
    for owner, name, value in early:
        if owner is None:
            object.__getattribute__(made, "__dict__")[name] = value
        else:
            vars(owner)[name].__set__(made, value)
    return made


def fill_instance(target: Any, state: tuple[Any, ...]) -> None:
    """Attributes, slots and contents, put in place without running the author's hooks."""
    attributes, slots, contents = state
    if attributes is not None:
        object.__setattr__(target, "__dict__", attributes)
    for owner, name, value in slots:
        vars(owner)[name].__set__(target, value)
    if contents is not None:
        base, items = contents
        _FILL[base](target, items)


def _fill_dict(target: Any, items: Any) -> None:
    for key, value in items:
        dict.__setitem__(target, key, value)


def _fill_ordered(target: Any, items: Any) -> None:
    import collections

    for key, value in items:
        collections.OrderedDict.__setitem__(target, key, value)


def _fill_defaultdict(target: Any, state: Any) -> None:
    target.default_factory = state[0]
    _fill_dict(target, state[1])


def _fill_deque(target: Any, state: Any) -> None:
    import collections

    collections.deque.__init__(target, state[1], state[0])


_FILL: dict[str, Any] = {
    "property": lambda target, parts: property.__init__(target, *parts),
    "classmethod": lambda target, parts: classmethod.__init__(target, *parts),
    "staticmethod": lambda target, parts: staticmethod.__init__(target, *parts),
    "list": list.extend,
    "set": set.update,
    "dict": _fill_dict,
    "bytearray": bytearray.extend,
    "OrderedDict": _fill_ordered,
    "defaultdict": _fill_defaultdict,
    "deque": _fill_deque,
}


def exception(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    made = kind.__new__(kind, *arguments)
    made.args = arguments
    return made


def fill_exception(target: BaseException, state: dict[str, Any]) -> None:
    attributes, fields = state["attributes"], state["fields"]
    base = next(k for k in type(target).__mro__ if k.__module__ == "builtins")
    if base is not BaseException:
        try:
            base.__init__(target, *target.args)  # type: ignore[misc]
        except TypeError:
            pass
    target.args = state["args"]
    for name, value in fields.items():
        try:
            setattr(target, name, value)
        except (AttributeError, TypeError):
            pass
    if attributes:
        object.__getattribute__(target, "__dict__").update(attributes)
    target.__cause__, target.__context__ = state["cause"], state["context"]
    target.__suppress_context__ = state["suppress"]


def enum_member(kind: Any, name: str | None, value: Any) -> Any:
    return kind.__members__[name] if name is not None else kind(value)


def view_of(kind: str, owner: Any) -> Any:
    """``dict.keys()`` and kin, mapping proxies."""
    if kind == "mappingproxy":
        return types.MappingProxyType(owner)
    return getattr(owner, kind)()


def method(func: Any, owner: Any) -> types.MethodType:
    return types.MethodType(func, owner)


def weak_reference(target: Any, callback: Any = None) -> Any:
    return weakref.ref(target, callback)


class _Gone:
    """Dies at once."""


def dead_proxy() -> Any:
    """A ``weakref.proxy`` of something that is gone."""
    return weakref.proxy(_Gone())


def dead_reference() -> Any:
    class Gone:
        pass

    return weakref.ref(Gone())


def set_attributes(target: Any, state: dict[str, Any]) -> None:
    """Give something found in a library the attributes it had."""
    if not spaces.current().trial or not vars(target):
        vars(target).update(state)


def dict_iterator(source: dict[Any, Any], kind: str, done: int) -> Any:
    made = iter(getattr(source, kind)())
    for _ in range(done):
        next(made)
    return made

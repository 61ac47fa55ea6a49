"""Reductions of functions, cells, methods and modules."""

from __future__ import annotations

import marshal
import sys
import types
from typing import TYPE_CHECKING, Any

from holdfast.checkpoint import rebuild
from holdfast.checkpoint.places import is_imported_by_author, is_local

if TYPE_CHECKING:
    from holdfast.checkpoint.pickler import ComponentPickler


def reduce_function(pickler: ComponentPickler, function: types.FunctionType) -> Any:
    """By reference when a module has it under its name; else by value, bound to the namespace or to its module's own dict."""
    space = pickler.space
    scope: Any = function.__globals__
    if scope is space.namespace:
        pickler.mention(function.__code__)
        scope = None
    else:
        if is_importable(function):
            return NotImplemented
        if is_module_scope(scope):
            scope = ScopeOf(f"module:{scope['__name__']}")
    state = (
        function.__defaults__,
        function.__kwdefaults__,
        function.__module__,
        function.__doc__,
        function.__qualname__,
        function.__annotations__ or None,
        function.__dict__ or None,
        getattr(function, "__type_params__", None),
    )
    arguments = (marshal.dumps(function.__code__), function.__name__, function.__closure__, scope)
    return rebuild.function, arguments, state, None, None, rebuild.fill_function


class ScopeOf:
    """Pickles as the dict of a module, or another dict that is referred to and never copied."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild.special, (self.key,)


def is_module_scope(scope: dict[str, Any]) -> bool:
    """Whether ``scope`` is the dict of an imported module."""
    home = sys.modules.get(scope.get("__name__", ""))
    return home is not None and vars(home) is scope and home.__name__ != "__main__"


def is_importable(function: Any) -> bool:
    """Whether a module has ``function`` under its qualified name."""
    found: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    if found is None or found.__name__ == "__main__":
        return False
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


def reduce_cell(pickler: ComponentPickler, cell: types.CellType) -> Any:
    try:
        contents = cell.cell_contents
    except ValueError:
        return rebuild.cell, ()
    return rebuild.cell, (), (contents,), None, None, rebuild.fill_cell


def reduce_code(pickler: ComponentPickler, code: types.CodeType) -> Any:
    pickler.mention(code)
    return rebuild.code_object, (marshal.dumps(code),)


def reduce_method(pickler: ComponentPickler, method: types.MethodType) -> Any:
    """By name where the owner's class still has it under that name, so that the class need not be copied."""
    owner, function = method.__self__, method.__func__
    if is_plain_method(method):
        return getattr, (owner, function.__name__)
    return rebuild.method, (function, owner)


def is_plain_method(method: types.MethodType) -> bool:
    """Whether ``getattr(owner, name)`` gives this very method again."""
    name = getattr(method.__func__, "__name__", "")
    owner = method.__self__
    found: Any = None
    if isinstance(owner, type):
        for cls in owner.__mro__:
            if name in vars(cls):
                found = vars(cls)[name]
                break
        else:
            return False
        return getattr(found, "__func__", None) is method.__func__
    if name in getattr(owner, "__dict__", ()):
        return False
    for cls in type(owner).__mro__:
        if name in vars(cls):
            return vars(cls)[name] is method.__func__
    return False


def reduce_module(pickler: ComponentPickler, module: types.ModuleType) -> Any:
    name = module.__name__
    if vars(module) is pickler.space.namespace:
        return rebuild.main_module, ()
    registered = sys.modules.get(name) is module
    if not is_put_away_whole(module):
        return (rebuild.module, (name, module.__file__)) if is_local(module) else (rebuild.module, (name,))
    state = {k: v for k, v in vars(module).items() if k != "__builtins__"}
    return (rebuild.new_registered_module if registered else rebuild.new_module), (name,), state, None, None, rebuild.fill_module


def is_put_away_whole(module: types.ModuleType) -> bool:
    """Whether a module cannot be imported again: a cell made it, or took it out of ``sys.modules``."""
    return sys.modules.get(module.__name__) is not module or is_made_by_hand(module)


def is_made_by_hand(module: types.ModuleType) -> bool:
    """Whether a cell made the module: it was never imported from anywhere."""
    return is_imported_by_author(module) or (
        getattr(module, "__spec__", None) is None
        and getattr(module, "__file__", None) is None
        and module.__name__ not in {"builtins", "__main__"}
    )

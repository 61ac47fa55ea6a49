"""The state of local modules: ``.py`` files beside the notebook, and what else the author's code imports in its own way."""

from __future__ import annotations

import enum
import functools
import types
from typing import Any

from holdfast.checkpoint import caches, places

_STATELESS = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, types.MethodType)


def module_state(module: types.ModuleType) -> dict[str, Any]:
    """The data among a local module's globals, that of its classes, and what its functions keep."""
    state: dict[str, Any] = {}
    for name, value in vars(module).items():
        if name.startswith("__") and name.endswith("__"):
            continue
        kind = type(value)
        if issubclass(kind, enum.EnumMeta):
            continue
        if issubclass(kind, type) and value.__module__ == module.__name__:
            data = {k: v for k, v in vars(value).items() if not (k.startswith("__") and k.endswith("__")) and _is_data(v)}
            if data:
                state[f"{name}."] = data
        elif kind is types.FunctionType and value.__module__ == module.__name__:
            kept = _kept(value)
            if kept:
                state[f"{name}()"] = kept
        elif kind is functools._lru_cache_wrapper:
            entries = caches.state_of(value)
            if entries is not None:
                state[f"{name}<>"] = entries
        elif _is_data(value):
            state[name] = value
    if state:
        state["<file>"] = getattr(module, "__file__", None)
    return state


def _is_data(value: Any) -> bool:
    return not issubclass(type(value), (*_STATELESS, classmethod, staticmethod, property)) and not hasattr(type(value), "__get__")


def _kept(function: types.FunctionType) -> dict[str, Any]:
    """What a function keeps between calls: defaults that can change, attributes, data in its closure."""
    found: dict[str, Any] = {}
    defaults = function.__defaults__, function.__kwdefaults__
    if not all(v is None or isinstance(v, str | int | float | bytes) for v in (*(defaults[0] or ()), *(defaults[1] or {}).values())):
        found["defaults"] = defaults
    attributes = {k: v for k, v in vars(function).items() if k != "__wrapped__"}
    if attributes:
        found["attributes"] = attributes
    cells: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            if _is_data(cell.cell_contents):
                cells[name] = cell.cell_contents
        except ValueError:
            continue
    if cells:
        found["cells"] = cells
    return found


def _put(function: Any, kept: dict[str, Any]) -> None:
    if "defaults" in kept:
        function.__defaults__, function.__kwdefaults__ = kept["defaults"]
    vars(function).update(kept.get("attributes", {}))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name in kept.get("cells", {}):
            cell.cell_contents = kept["cells"][name]


def set_module_state(name: str, state: dict[str, Any]) -> None:
    """Import the module and give it its data."""
    module = places.imported(name, state.pop("<file>", None))
    current = module_state(module)
    for key, value in state.items():
        if key.endswith("."):
            for attribute, data in value.items():
                setattr(getattr(module, key[:-1]), attribute, data)
        elif key.endswith("()"):
            function = getattr(module, key[:-2], None)
            if type(function) is types.FunctionType:
                _put(function, value)
        elif key.endswith("<>"):
            wrapper = getattr(module, key[:-2], None)
            if type(wrapper) is functools._lru_cache_wrapper:
                wrapper.cache_clear()
                caches.fill_lru_cache(wrapper, value)
        else:
            setattr(module, key, value)
    for key in current.keys() - state.keys():
        if key.isidentifier():
            delattr(module, key)

"""Process state of the interpreter that is set now and then: limits, trace functions, exit functions, import hooks, results."""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import os
import resource
import signal
import sys
import threading
import types
import warnings
import weakref
from typing import Any

from holdfast.checkpoint import units
from holdfast.checkpoint.process import UNCHANGED, Kind, simple


def main_globals() -> dict[str, Any]:
    """The author's namespace."""
    return vars(sys.modules["__main__"])


def is_authors(o: Any) -> bool:
    """Whether an object is a function, class or instance of the author's, or made from one."""
    kind = type(o)
    if kind is types.FunctionType:
        return bool(o.__globals__ is main_globals())
    if kind is types.MethodType:
        return is_authors(o.__func__) or is_authors(o.__self__)
    if kind is types.BuiltinMethodType:
        return type(o.__self__) in {list, dict, set, bytearray} or is_authors(o.__self__)
    if kind is functools.partial:
        return is_authors(o.func) or any(is_authors(a) for a in o.args)
    if issubclass(kind, type):
        return bool(o.__module__ == "__main__")
    return kind.__module__ == "__main__"


# -- limits and masks

_LIMITS = sorted(n for n in dir(resource) if n.startswith("RLIMIT_"))
_limits = {n: getattr(resource, n) for n in _LIMITS}


def _read_limits(baseline: dict[str, tuple[int, int]]) -> Any:
    changed = {n: v for n, v in _all_limits().items() if v != baseline[n]}
    return changed or UNCHANGED


def _all_limits() -> dict[str, tuple[int, int]]:
    get = resource.getrlimit
    return {n: get(k) for n, k in _limits.items()}


def _write_limits(value: Any, baseline: dict[str, tuple[int, int]]) -> None:
    wanted = baseline | ({} if value is UNCHANGED else value)
    for name, now in _all_limits().items():
        soft, hard = wanted.get(name, now)
        if now == (soft, hard):
            continue
        try:
            resource.setrlimit(_limits[name], (soft, hard))
        except (ValueError, OSError):  # a hard limit is not raised again
            resource.setrlimit(_limits[name], (soft if now[1] < 0 else min(soft, now[1]), now[1]))


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _write_priority(value: int) -> None:
    if value > _priority():  # only the superuser may go back
        os.setpriority(os.PRIO_PROCESS, 0, value)


def _mask() -> frozenset[int]:
    return frozenset(int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, ()))


# -- command line


def _read_arguments(baseline: list[str]) -> Any:
    if sys.argv == baseline:
        return UNCHANGED
    kept = len(baseline) if sys.argv[: len(baseline)] == baseline else 0
    return {"kept": bool(kept), "rest": list(sys.argv[kept:])}


def _write_arguments(value: Any, baseline: list[str]) -> None:
    sys.argv[:] = baseline if value is UNCHANGED else [*(baseline if value["kept"] else ()), *value["rest"]]


# -- functions that the interpreter calls


def _tracers() -> dict[str, Any]:
    return {
        "trace": sys.gettrace(),
        "profile": sys.getprofile(),
        "threads": getattr(threading, "_trace_hook", None),
        "threads' profile": getattr(threading, "_profile_hook", None),
    }


def _read_tracers(baseline: dict[str, Any]) -> Any:
    return {n: f for n, f in _tracers().items() if f is not baseline[n] and f is not None and is_authors(f)} or UNCHANGED


def _write_tracers(value: Any, baseline: dict[str, Any]) -> None:
    setters = {"threads": threading.settrace, "threads' profile": threading.setprofile, "profile": sys.setprofile, "trace": sys.settrace}
    now = _tracers()
    wanted = {} if value is UNCHANGED else value
    for name, setter in setters.items():
        target = wanted.get(name, baseline[name] if is_authors(now[name]) else now[name])
        if target is not now[name]:
            setter(target)


_STREAMS = ("stdout", "stderr", "stdin")


def _read_streams(baseline: dict[str, Any]) -> Any:
    changed = {n: o for n, b in baseline.items() if (o := getattr(sys, n)) is not b and (type(o).__module__ == "_io" or is_authors(o))}
    return changed or UNCHANGED


def _write_streams(value: Any, baseline: dict[str, Any]) -> None:
    wanted = {} if value is UNCHANGED else value
    past = _read_streams(baseline)
    for name in _STREAMS:
        if name in wanted:
            setattr(sys, name, wanted[name])
        elif past is not UNCHANGED and name in past:
            setattr(sys, name, baseline[name])


def _read_collector(baseline: list[Any]) -> Any:
    return [c for c in gc.callbacks if not any(c is b for b in baseline) and is_authors(c)] or UNCHANGED


def _write_collector(value: Any, baseline: list[Any]) -> None:
    wanted = [] if value is UNCHANGED else value
    gc.callbacks[:] = [c for c in gc.callbacks if not is_authors(c)] + wanted


_exits: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
_register: Any = atexit.register
_unregister: Any = atexit.unregister


@functools.wraps(_register)
def _registering(function: Any, *arguments: Any, **named: Any) -> Any:
    if is_authors(function):
        _exits.append((function, arguments, named))
    return _register(function, *arguments, **named)


@functools.wraps(_unregister)
def _unregistering(function: Any) -> None:
    _exits[:] = [e for e in _exits if e[0] is not function and e[0] != function]
    _unregister(function)


def _watch_exits() -> None:
    """``atexit`` shows to nobody what it holds, so registrations are noted as they come."""
    if atexit.register is _register:
        atexit.register, atexit.unregister = _registering, _unregistering  # type: ignore[assignment]


def _read_exits(baseline: Any) -> Any:
    return list(_exits) if _exits and atexit._ncallbacks() else UNCHANGED


def _write_exits(value: Any, baseline: Any) -> None:
    for function, _, _ in tuple(_exits):
        _unregistering(function)
    for function, arguments, named in () if value is UNCHANGED else value:
        _registering(function, *arguments, **named)


def _finalizers() -> list[Any]:
    registry = weakref.finalize._registry  # type: ignore[attr-defined]
    if not registry:
        return []
    infos = sorted(((i.index, f) for f, i in list(registry.items())), key=lambda pair: pair[0])
    return [f for _, f in infos if (p := f.peek()) is not None and (is_authors(p[0]) or is_authors(p[1]))]


def _read_finalizers(baseline: Any) -> Any:
    return _finalizers() or UNCHANGED


def _write_finalizers(value: Any, baseline: Any) -> None:
    wanted = [] if value is UNCHANGED else value
    for finalizer in _finalizers():
        if not any(finalizer is w for w in wanted):
            finalizer.detach()


# -- imports

_SEARCH = ("meta_path", "path_hooks")


def _read_search(baseline: dict[str, list[Any]]) -> Any:
    changed = {}
    for name in _SEARCH:
        now, before = getattr(sys, name), baseline[name]
        if len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True)):
            continue
        ours = [(n, o) for n, o in enumerate(now) if not any(o is b for b in before) and is_authors(o)]
        if ours:
            changed[name] = ours
    return changed or UNCHANGED


def _write_search(value: Any, baseline: dict[str, list[Any]]) -> None:
    for name in _SEARCH:
        target = getattr(sys, name)
        ours = () if value is UNCHANGED else value.get(name, ())
        if not ours and not any(is_authors(o) for o in target):
            continue
        target[:] = [o for o in target if not is_authors(o)]
        for at, o in ours:
            target.insert(at, o)
        sys.path_importer_cache.clear()


_aliases_seen: list[Any] = [-1, None, UNCHANGED]


def _aliases() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, module in list(sys.modules.items()):
        if module is None:
            found[name] = None
        elif type(module) is types.ModuleType and module.__name__ != name and sys.modules.get(module.__name__) is module:
            found[name] = module.__name__
    return found


def _read_aliases(baseline: dict[str, str | None]) -> Any:
    """Names under which a cell put another module, or None, into ``sys.modules``; what libraries do so is done by importing them."""
    key = (len(sys.modules), next(reversed(sys.modules), None))
    if key != _aliases_seen[0] or _aliases_seen[1] is not baseline:
        changed = {n: m for n, m in _aliases().items() if n not in baseline and "." not in n}
        _aliases_seen[:] = [key, baseline, changed or UNCHANGED]
    return _aliases_seen[2]


def _write_aliases(value: Any, baseline: dict[str, str | None]) -> None:
    if value is UNCHANGED:
        return
    for name, target in value.items():
        if name == "__main__" or name in sys.modules and target is not None:
            continue
        try:
            sys.modules[name] = importlib.import_module(target) if target is not None else None  # type: ignore[assignment]
        except ImportError:
            continue
    _aliases_seen[0] = -1


# -- warnings already given


def filters_version() -> int:
    """The interpreter's count of changes to the warning filters: a registry of warnings given that has another one is forgotten."""
    registry: dict[Any, Any] = {}
    filters = warnings.filters
    warnings.filters = [("ignore", None, Warning, None, 0)]
    try:
        warnings.warn_explicit("", UserWarning, "", 1, registry=registry)
    finally:
        warnings.filters = filters
    return int(registry.get("version", 0))


def _read_once(baseline: dict[Any, Any]) -> Any:
    once: dict[Any, Any] = warnings.onceregistry  # type: ignore[attr-defined]
    return UNCHANGED if once == baseline else {k: v for k, v in once.items() if k != "version"}


def _write_once(value: Any, baseline: dict[Any, Any]) -> None:
    once: dict[Any, Any] = warnings.onceregistry  # type: ignore[attr-defined]
    once.clear()
    once.update(baseline if value is UNCHANGED else value)
    if once:
        once["version"] = filters_version()


# -- results of cells


def _read_results(baseline: Any) -> Any:
    """Where ``Out`` says something else than the names ``_1``, ``_2`` ..."""
    names = main_globals()
    history = names.get("_oh")
    if type(history) is not dict:
        return UNCHANGED
    extra = {n: v for n, v in history.items() if names.get(f"_{n}", UNCHANGED) is not v}
    missing = [n for name in names if (n := units.result_number(name)) is not None and n not in history]
    return {"extra": extra, "missing": missing} if extra or missing else UNCHANGED


def _write_results(value: Any, baseline: Any) -> None:
    history = main_globals().get("_oh")
    if type(history) is dict and value is not UNCHANGED:
        history.update(value["extra"])
        for number in value["missing"]:
            history.pop(number, None)


def _set_thread_name(name: str) -> None:
    threading.main_thread().name = name


KINDS = [
    Kind("limits", _read_limits, _write_limits, _all_limits),
    Kind("search for modules", _read_search, _write_search, lambda: {n: list(getattr(sys, n)) for n in _SEARCH}, order=70, linked=True),
    Kind("module aliases", _read_aliases, _write_aliases, _aliases, order=-26),
    Kind("arguments", _read_arguments, _write_arguments, lambda: list(sys.argv)),
    Kind("tracing", _read_tracers, _write_tracers, _tracers, order=95, linked=True),
    Kind("streams", _read_streams, _write_streams, lambda: {n: getattr(sys, n) for n in _STREAMS}, order=89, linked=True),
    Kind("collector callbacks", _read_collector, _write_collector, lambda: list(gc.callbacks), linked=True),
    Kind("exit functions", _read_exits, _write_exits, _watch_exits, linked=True),
    Kind("finalizers", _read_finalizers, _write_finalizers, linked=True),
    Kind("warnings given once", _read_once, _write_once, lambda: dict(warnings.onceregistry), order=98),  # type: ignore[attr-defined]
    Kind("results", _read_results, _write_results, linked=True, order=80),
    simple("priority", _priority, _write_priority),
    simple("signal mask", _mask, lambda value: signal.pthread_sigmask(signal.SIG_SETMASK, value)),
    simple("digits of numbers", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    simple("thread stack", threading.stack_size, threading.stack_size),
    simple("thread name", lambda: threading.main_thread().name, _set_thread_name),
]

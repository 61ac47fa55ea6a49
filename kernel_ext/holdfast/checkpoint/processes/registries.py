"""What cells register with libraries: dialects, codecs, pickling functions, accessors, colour maps, figures, classes of loggers.

Looked at only when the library has been imported, and of what is there only what the author's code made."""

from __future__ import annotations

import codecs
import gc
import importlib
import sys
from collections.abc import Callable
from typing import Any

from holdfast.checkpoint.process import UNCHANGED, Kind
from holdfast.checkpoint.processes.runtime import is_authors


def _setting(name: str, module: str, read: Callable[[Any], Any], write: Callable[[Any, Any], Any], usual: Any, **more: Any) -> Kind:
    """One value of a library, with the value that it has when nobody sets it."""

    def changed(baseline: Any) -> Any:
        library = sys.modules.get(module)
        now = usual if library is None else read(library)
        return UNCHANGED if now is usual or type(now) is type(usual) and now == usual else now

    def put(value: Any, baseline: Any) -> None:
        if value is not UNCHANGED:
            write(importlib.import_module(module), value)
        elif module in sys.modules and changed(None) is not UNCHANGED:
            write(sys.modules[module], usual)

    return Kind(name, changed, put, **more)


def _registry(name: str, module: str, find: Callable[[Any], dict[Any, Any]], own: Callable[[Any, Any, Any], bool], **more: Any) -> Kind:
    """A dict of a library: the entries of which ``own(library, key, value)`` says that the author's code made them."""

    def entries() -> tuple[dict[Any, Any], dict[Any, Any]]:
        library = sys.modules.get(module)
        try:
            table: dict[Any, Any] = {} if library is None else find(library)
        except AttributeError:  # another version of the library
            table = {}
        return table, {k: v for k, v in list(table.items()) if own(library, k, v)}

    def put(value: Any, baseline: Any) -> None:
        if value is not UNCHANGED:
            importlib.import_module(module)
        table, now = entries()
        for key in now:
            del table[key]
        table.update({} if value is UNCHANGED else value)

    return Kind(name, lambda baseline: entries()[1] or UNCHANGED, put, linked=True, **more)


_NAMESPACES = ("http://www.w3.org/", "http://schemas.xmlsoap.org/wsdl/", "http://purl.org/dc/elements/")


# -- codecs: the interpreter keeps both registries where only the garbage collector sees them

_codec_tables: list[Any] = []


def _codec_registries() -> tuple[list[Any], dict[str, Any]]:
    if not _codec_tables:

        def mark(_: str) -> None:
            return None

        codecs.register(mark)
        found = [r for r in gc.get_referrers(mark) if type(r) is list]
        codecs.unregister(mark)
        errors = [
            r for r in gc.get_referrers(codecs.lookup_error("strict")) if type(r) is dict and {"strict", "xmlcharrefreplace"} <= r.keys()
        ]
        _codec_tables[:] = [found[0] if found else [], errors[0] if errors else {}]
    return _codec_tables[0], _codec_tables[1]


def codecs_changed() -> None:
    """From now on codecs are looked at: a cell mentions them. Finding where they are kept costs, so it is not done for others."""
    _codec_registries()


def _read_codecs(baseline: Any) -> Any:
    if not _codec_tables:
        return UNCHANGED
    search, errors = _codec_registries()
    found = [f for f in search if is_authors(f)]
    named = {n: f for n, f in errors.items() if is_authors(f)}
    return {"search": found, "errors": named} if found or named else UNCHANGED


def _write_codecs(value: Any, baseline: Any) -> None:
    if value is UNCHANGED and not _codec_tables:
        return
    search, errors = _codec_registries()
    for function in [f for f in search if is_authors(f)]:
        codecs.unregister(function)
    for name in [n for n, f in errors.items() if is_authors(f)]:
        del errors[name]
    if value is not UNCHANGED:
        for function in value["search"]:
            codecs.register(function)
        for name, function in value["errors"].items():
            codecs.register_error(name, function)


# -- csv

_DIALECT = ("delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace", "strict")


def _dialects(csv: Any) -> dict[str, tuple[Any, ...]]:
    ours = [n for n in csv.list_dialects() if n not in {"excel", "excel-tab", "unix"}]
    return {n: tuple(getattr(csv.get_dialect(n), a) for a in _DIALECT) for n in ours}


def _write_dialects(csv: Any, value: dict[str, tuple[Any, ...]]) -> None:
    for name in _dialects(csv).keys() - value.keys():
        csv.unregister_dialect(name)
    for name, values in value.items():
        csv.register_dialect(name, **dict(zip(_DIALECT, values, strict=True)))


# -- pandas


def _accessors(pandas: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for name in ("DataFrame", "Series", "Index"):
        cls = getattr(pandas, name, None)
        if cls is not None:
            ours = {n: a for n in cls._accessors if is_authors(a := getattr(vars(cls).get(n), "_accessor", None))}
            if ours:
                found[name] = ours
    return found


def _write_accessors(pandas: Any, value: dict[str, dict[str, Any]]) -> None:
    for name in ("DataFrame", "Series", "Index"):
        cls = getattr(pandas, name)
        wanted = value.get(name, {})
        for accessor in [n for n in cls._accessors if is_authors(getattr(vars(cls).get(n), "_accessor", None)) and n not in wanted]:
            delattr(cls, accessor)
            cls._accessors.discard(accessor)
        for accessor, made in wanted.items():
            if getattr(vars(cls).get(accessor), "_accessor", None) is not made:
                setattr(cls, accessor, importlib.import_module("pandas.core.accessor").Accessor(accessor, made))
                cls._accessors.add(accessor)


# -- matplotlib


def _figures(gcf: Any) -> tuple[tuple[int, Any], ...]:
    """Numbers and figures that pyplot knows, the current one last."""
    return tuple((n, m.canvas.figure) for n, m in gcf.Gcf.figs.items())


def _write_figures(gcf: Any, value: tuple[tuple[int, Any], ...]) -> None:
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    wanted = dict(value)
    for number in [n for n, f in _figures(gcf) if wanted.get(n) is not f]:
        pyplot.close(number)
    for number, figure in value:
        manager = gcf.Gcf.figs.get(number)
        if manager is None:
            manager = pyplot._get_backend_mod().new_figure_manager_given_figure(number, figure)
            gcf.Gcf._set_new_active_manager(manager)
        gcf.Gcf.set_active(manager)


# -- logging, asyncio, numpy


def _read_logging(baseline: Any) -> Any:
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return UNCHANGED
    found = {}
    if logging._loggerClass is not logging.Logger:
        found["class"] = logging._loggerClass
    if logging._logRecordFactory is not logging.LogRecord:
        found["factory"] = logging._logRecordFactory
    if logging._warnings_showwarning is not None:
        found["warnings"] = True
    return found or UNCHANGED


def _write_logging(value: Any, baseline: Any) -> None:
    logging: Any = importlib.import_module("logging")
    wanted = {} if value is UNCHANGED else value
    logging._loggerClass = wanted.get("class", logging.Logger)
    logging._logRecordFactory = wanted.get("factory", logging.LogRecord)
    logging.captureWarnings(wanted.get("warnings", False))


_LEVELS = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO", 10: "DEBUG", 0: "NOTSET"}


def _level_names(logging: Any) -> dict[int, str]:
    return {n: name for n, name in logging._levelToName.items() if _LEVELS.get(n) != name}


def _write_level_names(logging: Any, value: dict[int, str]) -> None:
    for number in _level_names(logging).keys() - value.keys():
        logging._nameToLevel.pop(logging._levelToName.pop(number), None)
        if number in _LEVELS:
            logging.addLevelName(number, _LEVELS[number])
    for number, name in value.items():
        logging.addLevelName(number, name)


def _read_warning_functions(baseline: dict[str, Any]) -> Any:
    import warnings

    return {n: f for n, b in baseline.items() if (f := getattr(warnings, n)) is not b and is_authors(f)} or UNCHANGED


def _write_warning_functions(value: Any, baseline: dict[str, Any]) -> None:
    import warnings

    wanted = {} if value is UNCHANGED else value
    for name, usual in baseline.items():
        if name in wanted or is_authors(getattr(warnings, name)):
            setattr(warnings, name, wanted.get(name, usual))


def _warning_functions() -> dict[str, Any]:
    import warnings

    return {"showwarning": warnings.showwarning, "formatwarning": warnings.formatwarning}


def _read_policy(baseline: Any) -> Any:
    events = sys.modules.get("asyncio.events")
    policy = getattr(events, "_event_loop_policy", None)
    return policy if policy is not None and is_authors(policy) else UNCHANGED


def _write_policy(value: Any, baseline: Any) -> None:
    if value is not UNCHANGED:
        importlib.import_module("asyncio").set_event_loop_policy(value)
    elif _read_policy(None) is not UNCHANGED:
        importlib.import_module("asyncio").set_event_loop_policy(None)


def _patched_dicts(mock: Any) -> tuple[Any, ...]:
    return tuple(p for p in mock._patch._active_patches if type(p) is mock._patch_dict)


def _write_patched_dicts(mock: Any, value: tuple[Any, ...]) -> None:
    active = mock._patch._active_patches
    active[:] = [*(p for p in active if type(p) is not mock._patch_dict), *value]


def _write_tracing(tracemalloc: Any, frames: int) -> None:
    if frames:
        tracemalloc.start(frames)
    else:
        tracemalloc.stop()


KINDS = [
    _registry("copyreg", "copyreg", lambda m: m.dispatch_table, lambda m, k, v: is_authors(k) or is_authors(v)),
    _registry(
        "xml namespaces",
        "xml.etree.ElementTree",
        lambda m: m.register_namespace._namespace_map,
        lambda m, k, v: not k.startswith(_NAMESPACES),
    ),
    _registry("colour maps", "matplotlib", lambda m: m.colormaps._cmaps, lambda m, k, v: k not in m.colormaps._builtin_cmaps),
    Kind("codecs", _read_codecs, _write_codecs, linked=True),
    Kind("logging classes", _read_logging, _write_logging, order=-4, linked=True),
    Kind("warning functions", _read_warning_functions, _write_warning_functions, _warning_functions, order=12, linked=True),
    Kind("event loop policy", _read_policy, _write_policy, linked=True),
    _setting("level names", "logging", _level_names, _write_level_names, {}, order=-4),
    _setting("patched dicts", "unittest.mock", _patched_dicts, _write_patched_dicts, (), linked=True),
    _setting("csv dialects", "csv", _dialects, _write_dialects, {}),
    _setting("csv field size", "csv", lambda m: m.field_size_limit(), lambda m, v: m.field_size_limit(v), 131072),
    _setting("pandas accessors", "pandas", _accessors, _write_accessors, {}, linked=True),
    _setting("figures", "matplotlib._pylab_helpers", _figures, _write_figures, (), linked=True, order=85),
    _setting("numpy error function", "numpy", lambda m: m.geterrcall(), lambda m, v: m.seterrcall(v), None, linked=True),
    _setting("opener", "urllib.request", lambda m: m._opener, lambda m, v: m.install_opener(v), None, linked=True),
    _setting(
        "start method",
        "multiprocessing",
        lambda m: m.get_start_method(allow_none=True),
        lambda m, v: m.set_start_method(v, force=True),
        None,
    ),
    _setting("memory tracing", "tracemalloc", lambda m: m.get_traceback_limit() if m.is_tracing() else 0, _write_tracing, 0),
    _setting("fault handler", "faulthandler", lambda m: m.is_enabled(), lambda m, v: m.enable() if v else m.disable(), False),
]
__all__ = ["KINDS", "codecs_changed"]

"""Process state of libraries, looked at only when the author's code has imported them."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from typing import Any

from holdfast.checkpoint.process import UNCHANGED, Kind


def _read_decimal(baseline: Any) -> Any:
    decimal = sys.modules.get("decimal")
    if decimal is None:
        return UNCHANGED
    now = decimal.getcontext()
    fresh = decimal.Context(**_decimal_settings(decimal.DefaultContext))
    return UNCHANGED if repr(now) == repr(fresh) else now.copy()


def _decimal_settings(c: Any) -> dict[str, Any]:
    return {
        "prec": c.prec,
        "rounding": c.rounding,
        "Emin": c.Emin,
        "Emax": c.Emax,
        "capitals": c.capitals,
        "clamp": c.clamp,
        "flags": [],
        "traps": [t for t, on in c.traps.items() if on],
    }


def _write_decimal(value: Any, baseline: Any) -> None:
    import decimal

    source = decimal.Context(**_decimal_settings(decimal.DefaultContext)) if value is UNCHANGED else value
    _copy_decimal(source, decimal.getcontext())  # the same object: variables may hold it


def _copy_decimal(source: Any, target: Any) -> None:
    for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp"):
        setattr(target, name, getattr(source, name))
    target.flags.update(source.flags)
    target.traps.update(source.traps)


#: ``repr(decimal.DefaultContext)`` when nobody changes it.
_DECIMAL = (
    "Context(prec=28, rounding=ROUND_HALF_EVEN, Emin=-999999, Emax=999999, capitals=1, clamp=0, flags=[], "
    "traps=[InvalidOperation, DivisionByZero, Overflow])"
)


def _read_decimal_default(baseline: Any) -> Any:
    decimal = sys.modules.get("decimal")
    return UNCHANGED if decimal is None or repr(decimal.DefaultContext) == _DECIMAL else decimal.DefaultContext.copy()


def _write_decimal_default(value: Any, baseline: Any) -> None:
    if value is UNCHANGED and _read_decimal_default(None) is UNCHANGED:
        return
    import decimal

    usual = decimal.Context(
        28, decimal.ROUND_HALF_EVEN, -999999, 999999, 1, 0, [], [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
    )
    _copy_decimal(usual if value is UNCHANGED else value, decimal.DefaultContext)


def _read_numpy_random(baseline: Any) -> Any:
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None:
        return UNCHANGED
    return numpy_random.get_state()


def _write_numpy_random(value: Any, baseline: Any) -> None:
    if value is not UNCHANGED:
        importlib.import_module("numpy.random").set_state(value)


def _read_numpy_errors(baseline: Any) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "geterr"):
        return UNCHANGED
    now = numpy.geterr()
    return UNCHANGED if now == {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"} else now


def _write_numpy_errors(value: Any, baseline: Any) -> None:
    numpy = sys.modules.get("numpy") if value is UNCHANGED else importlib.import_module("numpy")
    if numpy is not None:
        numpy.seterr(**({"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"} if value is UNCHANGED else value))


def _read_numpy_print(baseline: Any) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "get_printoptions"):
        return UNCHANGED
    now = {k: v for k, v in numpy.get_printoptions().items() if k != "override_repr"}
    default = {
        "edgeitems": 3,
        "threshold": 1000,
        "floatmode": "maxprec",
        "precision": 8,
        "suppress": False,
        "linewidth": 75,
        "nanstr": "nan",
        "infstr": "inf",
        "sign": "-",
        "formatter": None,
        "legacy": False,
    }
    return UNCHANGED if now == default else now


def _write_numpy_print(value: Any, baseline: Any) -> None:
    if value is not UNCHANGED:
        importlib.import_module("numpy").set_printoptions(**value)


def _flat_options(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, dict):
            found.update(_flat_options(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def _read_pandas(baseline: Any) -> Any:
    config = sys.modules.get("pandas._config.config")
    if config is None:
        return UNCHANGED
    registered = config._registered_options
    now = {k: v for k, v in _flat_options(config._global_config).items() if k in registered and registered[k].defval != v}
    return now or UNCHANGED


def _write_pandas(value: Any, baseline: Any) -> None:
    wanted = {} if value is UNCHANGED else value
    if not wanted and "pandas" not in sys.modules:
        return
    pandas = importlib.import_module("pandas")
    now = _read_pandas(baseline)
    for key in () if now is UNCHANGED else now.keys() - wanted.keys():
        pandas.reset_option(key)
    for key, setting in wanted.items():
        pandas.set_option(key, setting)


def _read_matplotlib(baseline: Any) -> Any:
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None or not hasattr(matplotlib, "rcParamsOrig"):
        return UNCHANGED
    get = dict.get
    now = {
        k: get(matplotlib.rcParams, k)
        for k in matplotlib.rcParams
        if get(matplotlib.rcParams, k) != get(matplotlib.rcParamsOrig, k) and k != "backend"
    }
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and getattr(pyplot, "_backend_mod", None) is not None:
        now["backend"] = matplotlib.get_backend()  # in use: it is also what makes a notebook show figures
    return now or UNCHANGED


def _write_matplotlib(value: Any, baseline: Any) -> None:
    if value is UNCHANGED:
        return
    backend = value.get("backend")
    dict.update(importlib.import_module("matplotlib").rcParams, {k: v for k, v in value.items() if k != "backend"})
    if backend is not None:
        with contextlib.suppress(ImportError):  # a window system that is not on this machine
            importlib.import_module("matplotlib.pyplot").switch_backend(backend)


def _read_socket(baseline: Any) -> Any:
    socket = sys.modules.get("socket")
    now = socket.getdefaulttimeout() if socket is not None else None
    return UNCHANGED if now is None else now


def _write_socket(value: Any, baseline: Any) -> None:
    if value is not UNCHANGED or "socket" in sys.modules:
        importlib.import_module("socket").setdefaulttimeout(None if value is UNCHANGED else value)


def _locale() -> Any:
    locale = sys.modules.get("locale")
    return locale.setlocale(locale.LC_ALL) if locale is not None else None


def _read_locale(baseline: Any) -> Any:
    now = _locale()
    return UNCHANGED if now is None or baseline is None or now == baseline else now


def _write_locale(value: Any, baseline: Any) -> None:
    if value is not UNCHANGED:
        locale = importlib.import_module("locale")
        locale.setlocale(locale.LC_ALL, value)


def _loggers() -> dict[str, Any]:
    logging = sys.modules.get("logging")
    if logging is None:
        return {}
    found = {n: o for n, o in list(logging.root.manager.loggerDict.items()) if isinstance(o, logging.Logger)}
    found[""] = logging.root
    return found


def _logger_state(logger: Any) -> tuple[Any, ...]:
    return logger.level, logger.propagate, logger.disabled, tuple(logger.handlers), tuple(logger.filters)


def _logging_baseline() -> dict[str, tuple[Any, ...]]:
    return {name: _logger_state(logger) for name, logger in _loggers().items()}


_UNSET: tuple[Any, ...] = (0, True, False, (), ())


def _read_logging(baseline: dict[str, tuple[Any, ...]]) -> Any:
    changed = {}
    for name, logger in _loggers().items():
        now = _logger_state(logger)
        before = baseline.get(name, _UNSET)
        if now != before:
            ours = [h for h in now[3] if h not in before[3]]
            dropped = len(before[3]) - sum(h in now[3] for h in before[3])
            if now[:3] == before[:3] and now[4] == before[4] and not dropped and all(_is_library_handler(h) for h in ours):
                continue
            changed[name] = (*now[:3], ours, bool(dropped), [f for f in now[4] if f not in before[4]])
    logging = sys.modules.get("logging")
    disabled = logging.root.manager.disable if logging is not None else 0
    if disabled:
        changed["<disable>"] = (disabled,)
    return changed or UNCHANGED


def _is_library_handler(handler: Any) -> bool:
    return type(handler).__name__ == "NullHandler"


def _write_logging(value: Any, baseline: dict[str, tuple[Any, ...]]) -> None:
    import logging

    wanted = {} if value is UNCHANGED else dict(value)
    logging.disable(wanted.pop("<disable>", (0,))[0])
    for name, logger in _loggers().items():
        if name not in wanted and name in baseline and _logger_state(logger) != baseline[name]:
            level, logger.propagate, logger.disabled, handlers, filters = baseline[name]
            logger.setLevel(level)
            logger.handlers[:], logger.filters[:] = handlers, filters
    for name, (level, propagate, disabled, handlers, dropped, filters) in wanted.items():
        logger = logging.getLogger(name or None)
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled
        before = baseline.get(name, _UNSET)
        logger.handlers[:] = [*(() if dropped else before[3]), *handlers]
        logger.filters[:] = [*before[4], *filters]


def _kind(
    name: str, read: Callable[[Any], Any], write: Callable[[Any, Any], None], baseline: Callable[[], Any] = lambda: None, **more: Any
) -> Kind:
    return Kind(name, read, write, baseline, **more)


KINDS = [
    _kind("decimal default", _read_decimal_default, _write_decimal_default, order=5),
    _kind("decimal", _read_decimal, _write_decimal),
    _kind("numpy.errors", _read_numpy_errors, _write_numpy_errors),
    _kind("numpy.print", _read_numpy_print, _write_numpy_print),
    _kind("pandas.options", _read_pandas, _write_pandas),
    _kind("matplotlib", _read_matplotlib, _write_matplotlib),
    _kind("socket timeout", _read_socket, _write_socket),
    _kind("locale", _read_locale, _write_locale, _locale),
    _kind("logging", _read_logging, _write_logging, _logging_baseline, linked=True),
    _kind("numpy.random", _read_numpy_random, _write_numpy_random, order=91),
]

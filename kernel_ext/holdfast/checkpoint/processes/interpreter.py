"""Process state of the interpreter and the standard library."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
import warnings
from typing import Any

from holdfast.checkpoint.process import UNCHANGED, Kind, simple
from holdfast.errors import AuthorError


def _read_random(baseline: Any) -> Any:
    return random.getstate()


def _write_random(value: Any, baseline: Any) -> None:
    if value is not UNCHANGED:
        random.setstate(value)


_last_environ: list[Any] = [None, UNCHANGED]


def _read_environ(baseline: dict[str, str]) -> Any:
    """Decoding every variable costs; the encoded dict tells faster that nothing changed."""
    encoded = getattr(os.environ, "_data", None)
    if encoded is None:
        return _changed_environ(baseline)
    key = (id(baseline), dict(encoded))
    if key != _last_environ[0]:
        _last_environ[:] = [key, _changed_environ(baseline)]
    return _last_environ[1]


def _changed_environ(baseline: dict[str, str]) -> Any:
    now = dict(os.environ)
    if now == baseline:
        return UNCHANGED
    changed: dict[str, str | None] = {k: v for k, v in now.items() if baseline.get(k) != v}
    changed.update((k, None) for k in baseline.keys() - now.keys())
    return dict(sorted(changed.items()))


def _write_environ(value: Any, baseline: dict[str, str]) -> None:
    wanted: dict[str, str | None] = {} if value is UNCHANGED else value
    for key in os.environ.keys() - baseline.keys() - wanted.keys():
        del os.environ[key]
    for key, text in {**{k: baseline[k] for k in baseline if os.environ.get(k) != baseline[k]}, **wanted}.items():
        if text is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = text


def _directory() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _read_directory(baseline: str | None) -> Any:
    now = _directory()
    return UNCHANGED if now == baseline else now


def _write_directory(value: Any, baseline: str | None) -> None:
    target = baseline if value is UNCHANGED else value
    if target is None or target == _directory():
        return
    try:
        os.chdir(target)
    except OSError as error:
        raise AuthorError(
            "HF133", f"the working directory {target} is not there: {error.strerror}", cure="make it again, then resume"
        ) from error


def _read_path(baseline: list[str]) -> Any:
    if sys.path == baseline:
        return UNCHANGED
    kept = [p for p in sys.path if p in baseline]
    first = sys.path.index(kept[0]) if kept else len(sys.path)
    return {
        "before": sys.path[:first],
        "after": [p for p in sys.path[first:] if p not in baseline],
        "removed": [p for p in baseline if p not in sys.path],
    }


def _write_path(value: Any, baseline: list[str]) -> None:
    if value is UNCHANGED:
        sys.path[:] = baseline
    else:
        sys.path[:] = [*value["before"], *(p for p in baseline if p not in value["removed"] and p not in value["before"]), *value["after"]]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read_umask(baseline: int) -> Any:
    now = _umask()
    return UNCHANGED if now == baseline else now


def _write_umask(value: Any, baseline: int) -> None:
    os.umask(baseline if value is UNCHANGED else value)


def _read_warnings(baseline: list[Any]) -> Any:
    return UNCHANGED if warnings.filters == baseline else list(warnings.filters)


def _write_warnings(value: Any, baseline: list[Any]) -> None:
    warnings.filters[:] = baseline if value is UNCHANGED else value  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _set_collecting(on: bool) -> None:
    (gc.enable if on else gc.disable)()


_get_signal: Any = getattr(sys.modules.get("_signal"), "getsignal", signal.getsignal)  # without a conversion to enum members


def _signals() -> dict[int, Any]:
    # the kernel wraps ipykernel's handler anew for every cell, and says what it stands for
    return {n: getattr(h, "stands_for", h) for n in range(1, signal.NSIG) for h in (_get_signal(n),)}


def _read_signals(baseline: dict[int, Any]) -> Any:
    changed = {n: h for n, h in _signals().items() if h is not baseline.get(n) and h is not None}
    return changed or UNCHANGED


def _write_signals(value: Any, baseline: dict[int, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    wanted: dict[int, Any] = {} if value is UNCHANGED else value
    for number, handler in _signals().items():
        target = wanted.get(number, baseline.get(number))
        if handler is not target and target is not None:
            signal.signal(number, target)


def _hooks() -> dict[str, Any]:
    return {n: getattr(sys, n) for n in ("excepthook", "unraisablehook")} | {"threading": threading.excepthook}


def _read_hooks(baseline: dict[str, Any]) -> Any:
    changed = {n: h for n, h in _hooks().items() if h is not baseline[n]}
    return changed or UNCHANGED


def _write_hooks(value: Any, baseline: dict[str, Any]) -> None:
    for name, hook in (baseline | ({} if value is UNCHANGED else value)).items():
        setattr(threading if name == "threading" else sys, "excepthook" if name == "threading" else name, hook)


KINDS = [
    Kind("sys.path", _read_path, _write_path, lambda: list(sys.path), order=-30),
    Kind("environ", _read_environ, _write_environ, lambda: dict(os.environ), order=-29),
    Kind("directory", _read_directory, _write_directory, _directory, order=-28),
    Kind("umask", _read_umask, _write_umask, _umask),
    simple("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    simple("switch interval", sys.getswitchinterval, sys.setswitchinterval),
    simple("garbage collection", gc.isenabled, _set_collecting),
    simple("garbage thresholds", gc.get_threshold, lambda value: gc.set_threshold(*value)),
    Kind(
        "time zone",
        lambda baseline: UNCHANGED if time.tzname == baseline else time.tzname,
        lambda *_: time.tzset(),
        lambda: time.tzname,
        order=-20,
    ),
    Kind("signals", _read_signals, _write_signals, _signals, linked=True),
    Kind("hooks", _read_hooks, _write_hooks, _hooks, linked=True),
    Kind("warnings", _read_warnings, _write_warnings, lambda: list(warnings.filters), order=-3),
    Kind("random", _read_random, _write_random, random.getstate, order=90),
]

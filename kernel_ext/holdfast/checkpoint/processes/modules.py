"""Local modules that a cell took out of ``sys.modules``, and source texts that a cell put into ``linecache``."""

from __future__ import annotations

import linecache
import sys
from typing import Any

from holdfast.checkpoint.places import is_local
from holdfast.checkpoint.process import UNCHANGED, Kind

_looked_at: set[str] = set()  # names in ``sys.modules`` that were looked at
_local: set[str] = set()  # those that were the author's files


def _before() -> None:
    _looked_at.clear()
    _looked_at.update(sys.modules)
    _local.clear()


def _read_removed(baseline: Any) -> Any:
    for name in sys.modules.keys() - _looked_at:
        _looked_at.add(name)
        if is_local(sys.modules[name]):
            _local.add(name)
    return sorted(_local - sys.modules.keys()) or UNCHANGED


def _write_removed(value: Any, baseline: Any) -> None:
    if value is not UNCHANGED:
        _local.update(value)
        _looked_at.update(value)
        for name in value:
            sys.modules.pop(name, None)


_sources_before: set[str] = set()
_watching: list[bool] = []


def watch_sources() -> None:
    """From now on source texts are looked at: a cell mentions ``linecache``. Others, IPython among them, add texts all the time."""
    if not _watching:
        _watching.append(True)
        _sources_before.update(linecache.cache)


def _is_by_hand(name: str, entry: Any) -> bool:
    generated = name.startswith(("<ipython-input", "<attrs generated")) or "ipykernel_" in name
    return name not in _sources_before and not generated and (len(entry) == 1 or entry[1] is None)


def _read_sources(baseline: Any) -> Any:
    if not _watching:
        return UNCHANGED
    return {n: e for n, e in linecache.cache.items() if _is_by_hand(n, e)} or UNCHANGED


def _write_sources(value: Any, baseline: Any) -> None:
    if value is UNCHANGED and not _watching:
        return
    watch_sources()
    for name in [n for n, e in linecache.cache.items() if _is_by_hand(n, e)]:
        del linecache.cache[name]
    if value is not UNCHANGED:
        _sources_before.difference_update(value)
        linecache.cache.update(value)


KINDS = [
    Kind("removed modules", _read_removed, _write_removed, _before, order=95),
    Kind("sources", _read_sources, _write_sources, linked=True),
]
__all__ = ["KINDS", "watch_sources"]

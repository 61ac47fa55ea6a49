"""Paths into an event: ``data.labels.alertname``, ``data.alerts[0]``, ``data.labels["a.b/c"]``, ``data.alerts[*].status``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_PART: Final = re.compile(r"""\.?(?:([^.\[\]"']+)|\[(\d+|\*)\]|\["([^"]*)"\]|\['([^']*)'\])""")


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


#: What stands where a path leads nowhere.
MISSING: Final[Any] = _Missing()


def parse(path: str) -> list[str | int]:
    """The parts of a path: names, indices; ``*`` for every item of a list.

    Raises:
        ValueError: it is no path.
    """
    parts: list[str | int] = []
    place = 0
    while place < len(path):
        found = _PART.match(path, place)
        if found is None or (place > 0 and path[place] not in ".["):
            raise ValueError(f'{path!r} is no path: write data.labels.name, data.list[0], data.labels["a.b"]')
        name, index, double, single = found.groups()
        if index is not None:
            parts.append("*" if index == "*" else int(index))
        else:
            parts.append(next(text for text in (name, double, single) if text is not None))
        place = found.end()
    if not parts:
        raise ValueError("an empty path leads nowhere")
    return parts


def look_up(value: Any, path: str | list[str | int]) -> Any:
    """What is at ``path``; :data:`MISSING` when it leads nowhere. Raises ``ValueError`` for a text that is no path."""
    parts = parse(path) if isinstance(path, str) else path
    for place, part in enumerate(parts):
        if part == "*":
            if not isinstance(value, list):
                return MISSING
            found = [look_up(item, parts[place + 1 :]) for item in value]
            return [item for item in found if item is not MISSING]
        if isinstance(value, list):
            index = int(part) if isinstance(part, int) or part.isdigit() else len(value)
            if index >= len(value):
                return MISSING
            value = value[index]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            return MISSING
    return value

"""Rows as a table."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.show.bundle import Bundle, show


def table(rows: Iterable[Mapping[str, Any]], *columns: str, title: str = "", limit: int = 200) -> None:
    """Show rows as a table.

    Args:
        rows: mappings of column names to values. A value that is missing or None is left empty; times are shown in UTC, to the second.
        columns: which, in this order; by default those of all rows, in the order in which they first occur.
        title: a line above it.
        limit: of more rows than this, the rest is only counted.
    """
    show(bundle_of(rows, *columns, title=title, limit=limit))


def bundle_of(rows: Iterable[Mapping[str, Any]], *columns: str, title: str = "", limit: int = 200) -> Bundle:
    """What :func:`table` shows."""
    everything = [dict(row) for row in rows]
    names = list(columns) or list(dict.fromkeys(name for row in everything for name in row))
    cells = [[text_of(row.get(name)) for name in names] for row in everything[:limit]]
    rest = f"… and {len(everything) - limit} more" if len(everything) > limit else ""
    numeric = [_is_numeric(row.get(name) for row in everything) for name in names]
    if not everything:
        return Bundle(f"{title}: none" if title else "none", text_markdown=f"**{escaped(title)}**: none" if title else "*none*")
    return Bundle(_plain(title, names, cells, numeric, rest), text_markdown=_markdown(title, names, cells, numeric, rest))


def text_of(value: Any) -> str:
    """A value as a cell of a table shows it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"
        case datetime.datetime():
            moment = value.astimezone(datetime.UTC) if value.tzinfo else value
            return f"{moment:%Y-%m-%d %H:%M:%S}"
        case list() | tuple() | set() | frozenset():
            return ", ".join(text_of(one) for one in (sorted(value, key=str) if isinstance(value, set | frozenset) else value))
    return str(value)


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands: names with asterisks, pipes or tags spoil no table."""
    for sign in "\\`*_[]<>|#~$":
        text = text.replace(sign, "&lt;" if sign == "<" else "\\" + sign)
    return text.replace("\r\n", "\n").replace("\n", "<br>")


def _is_numeric(values: Iterable[Any]) -> bool:
    known = [v for v in values if v is not None]
    return bool(known) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)


def _plain(title: str, names: list[str], cells: list[list[str]], numeric: list[bool], rest: str) -> str:
    flat = [[cell.replace("\n", " ⏎ ") for cell in row] for row in cells]
    widths = [max(len(line[n]) for line in [names, *flat]) for n in range(len(names))]
    fitted = [[c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True)] for row in [names, *flat]]
    lines = ["  ".join(row).rstrip() for row in fitted]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*([title] if title else []), *lines, *([rest] if rest else [])])


def _markdown(title: str, names: list[str], cells: list[list[str]], numeric: list[bool], rest: str) -> str:
    lines = [f"**{escaped(title)}**", ""] if title else []
    lines.append("| " + " | ".join(escaped(name) for name in names) + " |")
    lines.append("|" + "".join("---:|" if right else "---|" for right in numeric))
    lines += ["| " + " | ".join(escaped(cell) for cell in row) + " |" for row in cells]
    return "\n".join([*lines, *(["", rest] if rest else [])])

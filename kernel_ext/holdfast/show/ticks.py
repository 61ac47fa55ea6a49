"""A tick or a cross: whether something is as it should be, with the objects that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.show.bundle import Bundle, show
from holdfast.show.tables import escaped, table


def tick(good: bool, text: str, rows: Iterable[Mapping[str, Any]] = (), *columns: str) -> bool:
    """Show whether something is as it should be, and what speaks for it.

    Args:
        good: whether it is.
        text: one sentence with numbers.
        rows: the objects that fail, or the evidence; shown as a table below.
        columns: of the table, as for :func:`holdfast.show.table`.

    Returns:
        ``good``.
    """
    sign, colour = ("✔", "#2b8a3e") if good else ("✘", "#c92a2a")
    show(Bundle(f"{sign} {text}", text_markdown=f'<b style="color:{colour}">{sign}</b> **{escaped(text)}**'))
    shown = list(rows)
    if shown:
        table(shown, *columns)
    return good

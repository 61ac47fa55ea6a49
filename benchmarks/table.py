"""One table: each row is a number of ours beside a reference measured in the same run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import msgspec
from rich.console import Console
from rich.table import Table


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    Args:
        what: is measured.
        reference: what it stands beside.
        theirs: the reference's number.
        ours: Holdfast's number.
        unit: ``/s`` (more is better), else ``s``, ``ms`` or ``MB`` (less is better).
        wanted: the number to reach, as text.
    """

    what: str
    reference: str
    theirs: float
    ours: float
    unit: str
    wanted: str = ""

    @property
    def ratio(self) -> float:
        """How many times better ours is than the reference; below 1: worse."""
        better, worse = (self.ours, self.theirs) if self.unit == "/s" else (self.theirs, self.ours)
        return better / worse if worse else float("inf")


def show(rows: Iterable[Row], title: str = "") -> None:
    """Print the table."""
    table = Table("", "beside", "theirs", "Holdfast", "times better", "wanted", title=title or None)
    for name in ("theirs", "Holdfast", "times better"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for row in rows:
        table.add_row(row.what, row.reference, _text(row.theirs, row.unit), _text(row.ours, row.unit), f"{row.ratio:.2f}", row.wanted)
    Console(width=160).print(table)


def main(measure: Callable[..., Iterable[Row]], what: str | None, title: str = "") -> None:
    """What a benchmark does as a program: ``--quick`` for fewer rounds, then its table."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    show(measure(quick=parser.parse_args().quick), title=title)


def _text(number: float, unit: str) -> str:
    digits = 0 if number >= 100 else 1 if number >= 10 else 2 if number >= 1 else 4
    return f"{number:,.{digits}f} {unit}".replace(" /s", "/s")

"""Finding: what one rule found at one place of a notebook."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning", "info"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. Lines and columns count from 1, within the cell."""

    code: str  # "NB101": has a page under docs/reference/checks
    severity: Severity
    message: str  # one sentence: what is wrong
    cure: str = ""  # one sentence: what to do
    cell: str | None = None  # the cell's id; None: the notebook as a whole
    index: int | None = None  # the cell's position in the notebook, markdown cells counted, from 0
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = [] if self.index is None else [f"cell {self.index}" + (f" ({self.cell})" if self.cell else "")]
        place += [] if self.line is None else [f"line {self.line}"]
        return " — ".join(p for p in (f"{self.code}: {self.message}", ", ".join(place), self.cure) if p)

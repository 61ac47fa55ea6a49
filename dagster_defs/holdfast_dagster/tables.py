"""Tables in what a cell shows, as Markdown with the number of their rows: data frames, HTML, Markdown, series, lists."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from typing import Any

#: Rows of a table that are shown.
_ROWS = 50
#: Characters of one of its cells that are shown.
_WIDTH = 200
#: Columns and rows that one cell of an HTML table may span at most.
_SPAN = 1000
#: A longer text is not read as a list: Jupyter shows a thousand items of a list and then dots.
_LONGEST = 200_000
_ROW = re.compile(r"\s*\|.*\|\s*")
_RULE = re.compile(r"\s*\|(\s*:?-+:?\s*\|)+\s*")
_SHAPE = re.compile(r"(\d+) rows? . \d+ columns?|shape: \((\d[\d_,]*), ?\d[\d_,]*\)")  # pandas, and polars
_SERIES = re.compile(r"(?:Name: .*?, )?(?:Length: (\d+), )?dtype: \S+")


class Table:
    """A table as Markdown, with the number of rows it really has; without Markdown when only they are known."""

    def __init__(self, markdown: str | None, rows: int) -> None:
        self.markdown, self.rows = markdown, rows


def table_of(html: str) -> Table | None:
    """The last table of an HTML text (a data frame's, for example); None when there is none."""
    reader = _Reader()
    reader.feed(html)
    head, body = reader.parts()
    if head is None or not (body or reader.has_head):
        return None
    said = _SHAPE.findall(html)
    count = int(re.sub("[_,]", "", "".join(said[-1]))) if said else len(body)
    return Table(_markdown(head, body, count), count)


def markdown_table(text: str) -> Table | None:
    """A Markdown text that is a table and nothing else; None for any other."""
    lines = text.strip().splitlines()
    if len(lines) < 3 or not _RULE.fullmatch(lines[1]) or not all(_ROW.fullmatch(line) for line in lines):
        return None
    rows = len(lines) - 2
    shown = lines if rows <= _ROWS else [*lines[: 2 + _ROWS], f"\n{rows} rows in all"]
    return Table("\n".join(shown), rows)


def plain_table(text: str) -> Table | None:
    """A series of pandas, or a list, by its plain text: its length, and a list of objects as a table. None for any other value."""
    lines = text.strip().splitlines()
    if len(lines) > 1 and (match := _SERIES.fullmatch(lines[-1])):
        named = len(lines[0].split()) < 2  # the name of the index, on a line of its own
        return Table(None, int(match.group(1)) if match.group(1) else len(lines) - 1 - named)
    if not text.startswith("[") or len(text) > _LONGEST:
        return None
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None  # of objects, or cut off by dots
    if not isinstance(found, list) or any(one is ... for one in found):
        return None
    if not found or not all(isinstance(one, dict) for one in found):
        return Table(None, len(found))
    columns = list(dict.fromkeys(str(key) for one in found for key in one))
    rows = [[str(one[key]) if key in one else "" for key in columns] for one in ({str(k): v for k, v in o.items()} for o in found)]
    return Table(_markdown(columns, rows, len(rows)) if columns else None, len(rows))


def _markdown(head: list[str], body: list[list[str]], count: int) -> str:
    width = max(len(row) for row in (head, *body))
    shown = [[*row, *[""] * (width - len(row))] for row in (head, *body[:_ROWS])]
    lines = ["| " + " | ".join(_cell(text) for text in row) + " |" for row in shown]
    more = [f"\n{count} rows in all"] if count > len(shown) - 1 else []
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:], *more])


def _cell(text: str) -> str:
    plain = " ".join(text.split())
    return (plain if len(plain) <= _WIDTH else f"{plain[:_WIDTH]}…").replace("|", "\\|").replace("<", "&lt;")


class _Reader(HTMLParser):
    """Collects the cells of the last table, those that span rows or columns in each of them."""

    def __init__(self) -> None:
        super().__init__()
        self._begin()

    def _begin(self) -> None:
        self._rows: list[list[str]] = []
        self._below: dict[int, tuple[int, str]] = {}  # column -> rows that a cell of above still covers, and its text
        self._cell: list[str] | None = None
        self._span = 1, 1
        self._heads = 0
        self._in_head = False

    @property
    def has_head(self) -> bool:
        """Whether it says which rows are its head."""
        return self._heads > 0

    def parts(self) -> tuple[list[str] | None, list[list[str]]]:
        """The head as one row, and the other rows."""
        self._covered()
        rows = [row for row in self._rows if row]
        if not rows:
            return None, []
        heads = rows[: max(1, self._heads)]
        width = max(len(row) for row in heads)
        columns = [[row[n] for row in heads if n < len(row) and row[n]] for n in range(width)]
        return [" ".join(dict.fromkeys(texts)) for texts in columns], rows[len(heads) :]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._begin()
        elif tag == "thead":
            self._in_head = True
        elif tag == "tr":
            self._covered()
            self._rows.append([])
            self._heads += self._in_head
        elif tag in ("td", "th") and self._rows:
            self._cell = []
            given: dict[str, Any] = dict(attrs)
            down, across = (str(given.get(name) or "1") for name in ("rowspan", "colspan"))
            self._span = _number(down), _number(across)

    def handle_endtag(self, tag: str) -> None:
        if tag == "thead":
            self._in_head = False
        elif tag in ("td", "th") and self._cell is not None:
            text = " ".join("".join(self._cell).split())
            down, across = self._span
            self._covered()
            for n in range(across):
                if down > 1:
                    self._below[len(self._rows[-1])] = down, text
                self._rows[-1].append(text if n == 0 or self._in_head else "")
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def _covered(self) -> None:
        """Put the cells of above that reach down into the row, as far as they come next."""
        row = self._rows[-1] if self._rows else []
        while row is not None and (covering := self._below.get(len(row))) is not None:
            rows, text = covering
            if rows <= 1:
                del self._below[len(row)]
                break
            self._below[len(row)] = rows - 1, text
            row.append(text)


def _number(text: str) -> int:
    return max(1, min(int(text), _SPAN)) if text.isdecimal() else 1

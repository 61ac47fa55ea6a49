"""What a step printed and showed, as Dagster's event log can show it: text, Markdown, tables, row counts."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from typing import Any

import dagster as dg

#: The longest text that goes into one event, characters; the output notebook has the rest.
_LONGEST = 10_000
#: The longest line that is shown at once; longer and more lines are shown on a click.
_SHORT = 200
#: In which order metadata is shown.
_ORDER = ("dagster/row_count", "table", "plot", "markdown", "result", "stdout", "error")
#: Rows of a table that are shown.
_ROWS = 50
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_REPR = re.compile(r"<IPython\.core\.display\.\w+ object>")
_ROW = re.compile(r"\s*\|.*\|\s*")
_RULE = re.compile(r"\s*\|(\s*:?-+:?\s*\|)+\s*")
_SHAPE = re.compile(r"(\d+) rows? . (\d+) columns?")


def text_of(output: Mapping[str, Any]) -> str:
    """An output as plain text, without terminal colours."""
    kind = output.get("output_type")
    if kind == "stream":
        return _plain(output.get("text"))
    if kind == "error":
        return _plain("\n".join(output.get("traceback") or ()) or f"{output.get('ename')}: {output.get('evalue')}")
    data = output.get("data") or {}
    plain = _plain(data.get("text/plain"))
    if _REPR.fullmatch(plain.strip()):  # `display(Markdown(...))`: its text says what it is, not what it shows
        return _plain(data.get("text/markdown")) or ("(a picture)" if any(kind.startswith("image/") for kind in data) else "")
    return plain


def is_notice(output: Mapping[str, Any]) -> bool:
    """Whether Holdfast's kernel said it to whoever sits before the notebook: beside what the cells themselves show."""
    return 'class="holdfast-notice"' in _joined((output.get("data") or {}).get("text/html"))


def result_text(outputs: Iterable[Mapping[str, Any]]) -> str | None:
    """The value of the last expression, as the notebook shows it; None when there was none."""
    found = [o for o in outputs if o.get("output_type") == "execute_result"]
    return text_of(found[-1]) if found else None


def metadata_of(outputs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Metadata values of a step's outputs, the most telling first.

    ``dagster/row_count`` and ``table`` (the last table, as Markdown), ``plot`` (the last picture), ``markdown``, ``result`` (the last
    expression), ``stdout`` (what was printed), ``error``.
    """
    found: dict[str, Any] = {}
    printed: list[str] = []
    for output in outputs:
        if is_notice(output):
            continue
        if output.get("output_type") == "stream":
            printed.append(_plain(output.get("text")))
        elif output.get("output_type") == "error":
            found["error"] = dg.MetadataValue.md(_fenced(text_of(output)))
        found |= _shown(output.get("data") or {}, result=output.get("output_type") == "execute_result")
    said = "".join(printed).strip("\n")
    if said.strip():
        found["stdout"] = dg.MetadataValue.md(_fenced(said)) if "\n" in said or len(said) > _SHORT else dg.MetadataValue.text(said)
    return {key: found[key] for key in _ORDER if key in found}


def _shown(data: Mapping[str, Any], *, result: bool) -> dict[str, Any]:
    """What one display shows."""
    markdown, png, svg = (_joined(data.get(kind)) for kind in ("text/markdown", "image/png", "image/svg+xml"))
    table = table_of(_joined(data["text/html"])) if data.get("text/html") else markdown_table(markdown)
    if table is not None:
        return {"table": dg.MetadataValue.md(table.markdown), "dagster/row_count": dg.MetadataValue.int(table.rows)}
    if png:
        return {"plot": dg.MetadataValue.md(f"![plot](data:image/png;base64,{png.strip()})")}
    if svg:
        return {"plot": dg.MetadataValue.md(f"![plot](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")}
    if markdown:
        return {"markdown": dg.MetadataValue.md(_cut(markdown))}
    if result:
        return {"result": dg.MetadataValue.text(_cut(text_of({"data": data})))}
    return {}


class Table:
    """A table as Markdown, with the number of rows it really has."""

    def __init__(self, markdown: str, rows: int) -> None:
        self.markdown, self.rows = markdown, rows


def table_of(html: str) -> Table | None:
    """The last table of an HTML text (a data frame's, for example); None when there is none."""
    reader = _Reader()
    reader.feed(html)
    rows = reader.rows
    if len(rows) < 2:
        return None
    width = max(len(row) for row in rows)
    padded = [[*row, *[""] * (width - len(row))] for row in rows]
    shown = padded[1 : 1 + _ROWS]
    lines = ["| " + " | ".join(padded[0]) + " |", "|" + " --- |" * width, *("| " + " | ".join(row) + " |" for row in shown)]
    said = _SHAPE.search(html)
    count = int(said.group(1)) if said else len(rows) - 1
    if count > len(shown):
        lines.append(f"\n{count} rows in all")
    return Table("\n".join(lines), count)


def markdown_table(text: str) -> Table | None:
    """A Markdown text that is a table and nothing else; None for any other."""
    lines = text.strip().splitlines()
    if len(lines) < 3 or not _RULE.fullmatch(lines[1]) or not all(_ROW.fullmatch(line) for line in lines):
        return None
    rows = len(lines) - 2
    shown = lines if rows <= _ROWS else [*lines[: 2 + _ROWS], f"\n{rows} rows in all"]
    return Table("\n".join(shown), rows)


class _Reader(HTMLParser):
    """Collects the cells of the last table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append(" ".join("".join(self._cell).split()).replace("|", "\\|"))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text or "")


def _plain(text: Any) -> str:
    return _ESCAPES.sub("", _joined(text))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else "… " + text[-_LONGEST:]


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{_cut(text.rstrip())}\n{fence}"

"""What a step printed and showed, as Dagster's event log can show it: text, Markdown, tables, row counts."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from holdfast_dagster.tables import markdown_table, plain_table, table_of

#: The longest text that goes into one event, characters; the output notebook has the rest.
_LONGEST = 10_000
#: The longest line that is shown at once; longer and more lines are shown on a click.
_SHORT = 200
#: In which order metadata is shown.
_ORDER = ("dagster/row_count", "table", "plot", "markdown", "result", "stdout", "error")
#: The largest picture that goes into one event, characters of base64.
_LARGEST = 1_000_000
_PICTURES = ("image/png", "image/svg+xml", "image/jpeg", "image/gif", "image/webp")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_REPR = re.compile(r"<IPython\.core\.display\.\w+ object>")


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

    ``dagster/row_count`` and ``table`` (the last table, as Markdown; of a series and of a list only the count), ``plot`` (the last
    picture), ``markdown``, ``result`` (the last expression), ``stdout`` (what was printed), ``error``.
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
    markdown, html, plain = (_joined(data.get(kind)) for kind in ("text/markdown", "text/html", "text/plain"))
    table = table_of(html) if html else markdown_table(markdown) if markdown else plain_table(plain) if result else None
    found: dict[str, Any] = {"dagster/row_count": dg.MetadataValue.int(table.rows)} if table is not None else {}
    if table is not None and table.markdown is not None:
        return {**found, "table": dg.MetadataValue.md(table.markdown)}
    for kind in _PICTURES:
        if data.get(kind):
            return {"plot": _picture(kind, _joined(data[kind]))}
    if markdown:
        return {"markdown": dg.MetadataValue.md(_cut(markdown))}
    if result:
        return {**found, "result": dg.MetadataValue.text(_cut(text_of({"data": data})))}
    return {}


def _picture(kind: str, text: str) -> Any:
    coded = base64.b64encode(text.encode()).decode() if kind == "image/svg+xml" else "".join(text.split())
    if len(coded) > _LARGEST:
        return dg.MetadataValue.text(f"a picture of {len(coded) * 3 // 4 // 1024} KiB: see the notebook")
    return dg.MetadataValue.md(f"![plot](data:{kind};base64,{coded})")


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

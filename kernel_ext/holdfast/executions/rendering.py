"""Cells and their outputs as HTML and as plain text, from notebooks nobody vouches for: no script, nothing from elsewhere."""

from __future__ import annotations

import re
from html import escape
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(text: str) -> str:
    """``text`` without terminal colours."""
    return _ANSI.sub("", text)


def source_of(cell: dict[str, Any]) -> str:
    """A cell's source as one text."""
    return joined(cell.get("source", ""))


def output_plain(output: dict[str, Any]) -> str:
    """The text of an output."""
    if output["output_type"] == "stream":
        return plain(joined(output["text"]))
    if output["output_type"] == "error":
        return plain("\n".join(output.get("traceback") or [f"{output.get('ename')}: {output.get('evalue')}"]))
    return plain(joined(output["data"].get("text/plain", "")))


def joined(text: Any) -> str:
    """nbformat's texts are one, or a list of lines."""
    return text if isinstance(text, str) else "".join(text)


def cell_html(cell: dict[str, Any]) -> str:
    """A cell with its outputs."""
    source = source_of(cell)
    if cell["cell_type"] == "markdown":
        return f"<div>{_markdown(source)}</div>"
    if cell["cell_type"] != "code" or not source.strip():
        return ""
    return f"<pre><code>{escape(source)}</code></pre>" + "".join(output_html(o) for o in cell.get("outputs", []))


def output_html(output: dict[str, Any]) -> str:
    """An output."""
    data = output.get("data", {})
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            picture = "".join(joined(data[kind]).split())
            return f'<p><img alt="output" src="data:{kind};base64,{escape(picture)}"></p>'
    if "text/html" in data:
        # what a runbook displayed is not to be trusted by whoever reads it: no script, no form, no origin
        return f'<iframe sandbox title="output" srcdoc="{escape(joined(data["text/html"]))}"></iframe>'
    text = output_plain(output).rstrip("\n")
    kind = "output error" if output["output_type"] == "error" else "output"
    return f'<pre class="{kind}">{escape(text)}</pre>' if text else ""


def _markdown(text: str) -> str:
    """Markdown as HTML; HTML that stands in it is shown as text."""
    import mistune

    rendered = mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])(text)
    return str(rendered)

"""A notebook as text, as nbformat writes it, without its copy of the whole and its slow encoder: a run writes it after every cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

#: What nbformat never writes.
_OF_NOTEBOOKS = ("orig_nbformat", "orig_nbformat_minor", "signature")
_OF_CELLS = ("trusted",)
#: What it writes line by line beside everything ``text/``.
_TEXTS = ("application/javascript", "image/svg+xml")


def text_of(notebook: Any) -> str:
    """What ``nbformat.writes`` makes of a notebook of format 4; of any other, it does it itself."""
    import nbformat

    if notebook.get("nbformat") == 4:
        try:
            shown = {**notebook, "metadata": _without(notebook.get("metadata", {}), _OF_NOTEBOOKS)}
            shown["cells"] = [_cell(cell) for cell in notebook["cells"]]
            return msgspec.json.format(msgspec.json.encode(shown, order="sorted"), indent=1).decode()
        except (TypeError, ValueError, KeyError, AttributeError):
            pass  # something that is no JSON: nbformat has its ways, and its words
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return text


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    shown = {**cell, "metadata": _without(cell.get("metadata", {}), _OF_CELLS)}
    if "source" in cell:
        shown["source"] = _lines(cell["source"])
    if "attachments" in cell:
        shown["attachments"] = {name: _bundle(bundle) for name, bundle in cell["attachments"].items()}
    if cell.get("cell_type") == "code":
        shown["outputs"] = [_output(output) for output in cell.get("outputs", ())]
    return shown


def _output(output: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = output.get("output_type")
    if kind in ("execute_result", "display_data"):
        return {**output, "data": _bundle(output.get("data", {}))}
    if kind == "stream":
        return {**output, "text": _lines(output["text"])}
    return output


def _bundle(data: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: _lines(value) if kind.startswith("text/") or kind in _TEXTS else value for kind, value in data.items()}


def _lines(text: Any) -> Any:
    return text.splitlines(True) if isinstance(text, str) else text


def _without(metadata: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return {k: v for k, v in metadata.items() if k not in names} if any(name in metadata for name in names) else metadata

"""A plain notebook, or an alert runbook in Markdown, made into the skeleton of a runbook; what could not be decided is marked TODO."""

from __future__ import annotations

import re
from typing import Any

from holdfast.notebook.destroying import command_destroys

_FENCE = re.compile(r"^(```+|~~~+)[ \t]*([\w+-]*)[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_SHELL = frozenset({"", "sh", "bash", "shell", "console", "zsh", "terminal"})
_PYTHON = frozenset({"python", "py", "python3", "ipython"})
_PLACEHOLDER = re.compile(r"<([A-Za-z][\w .-]*)>|\$\{([A-Za-z_]\w*)\}|\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_TODO = "# TODO"


def from_markdown(text: str) -> dict[str, Any]:
    """A skeleton: prose stays prose, each block of commands becomes a step of its own, named after the heading above it; placeholders
    become parameters."""
    parameters: dict[str, None] = {}
    cells: list[dict[str, Any]] = []
    names: set[str] = set()
    heading, place = "step", 0
    for block in _FENCE.finditer(text):
        prose = text[place : block.start()].strip()
        place = block.end()
        if prose:
            cells.append(_text(prose))
            heading = next((h for h in reversed(re.findall(r"^#+\s+(.*)$", prose, re.MULTILINE))), heading)
        source = _source(block[2].lower(), block[3].rstrip("\n"), parameters)
        cells.append(_step(_name(heading, names), source))
    rest = text[place:].strip()
    if rest:
        cells.append(_text(rest))
    return _book(cells, parameters)


def from_notebook(content: dict[str, Any]) -> dict[str, Any]:
    """A skeleton: cells that only import or define become `setup`, every other code cell a step; outputs are dropped."""
    cells: list[dict[str, Any]] = []
    names: set[str] = set()
    heading = "step"
    tagged = any(":" in tag for c in content.get("cells", []) for tag in c.get("metadata", {}).get("tags", []))
    for cell in content.get("cells", []):
        source = "".join(cell.get("source", ""))
        if cell.get("cell_type") != "code":
            cells.append(_text(source))
            heading = next((h for h in reversed(re.findall(r"^#+\s+(.*)$", source, re.MULTILINE))), heading)
        elif source.strip():
            tags = list(cell.get("metadata", {}).get("tags", []))
            if tagged or "parameters" in tags:
                cells.append(_code(source, tags, cell.get("metadata", {}).get("holdfast")))
            elif _defines_only(source):
                cells.append(_code(source, ["setup"]))
            else:
                cells.append(_step(_name(heading, names), source))
    has = any("parameters" in c["metadata"].get("tags", []) for c in cells)
    return _book(cells, {}, parameters_missing=not has)


def _source(language: str, body: str, parameters: dict[str, None]) -> str:
    if language in _PYTHON:
        return body
    if language not in _SHELL:
        quoted = "\n".join(f"# {line}" for line in body.split("\n"))
        return f"{_TODO}: this is {language}, which is not run here\n{quoted}"
    lines: list[str] = []
    for line in body.split("\n"):
        bare = re.sub(r"^\s*[$#>]\s+", "", line)
        if not bare.strip():
            continue
        bare = _PLACEHOLDER.sub(lambda m: _parameter(m[1] or m[2] or m[3], parameters), bare)
        if command_destroys(bare):
            lines.append(f"{_TODO}: this destroys: name target and number here, and who must agree")
            lines.append(f"confirm({f'run this? {bare}'!r})")
        lines.append(f"!{bare}")
    return "\n".join(lines)


def _parameter(text: str, parameters: dict[str, None]) -> str:
    name = re.sub(r"\W+", "_", text.strip().lower()).strip("_")
    parameters[name] = None
    return "{" + name + "}"


def _name(heading: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")[:40] or "step"
    base = f"step-{base}" if base in ("stop", "continue", "suspend") else base
    name, n = base, 2
    while name in taken:
        name, n = f"{base}-{n}", n + 1
    taken.add(name)
    return name


def _defines_only(source: str) -> bool:
    """Whether a cell does nothing but import and define."""
    import ast

    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    return all(isinstance(s, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for s in body)


def _text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str, tags: list[str], policy: Any = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if policy:
        metadata["holdfast"] = policy
    return {"cell_type": "code", "metadata": metadata, "source": source, "execution_count": None, "outputs": []}


def _step(name: str, source: str) -> dict[str, Any]:
    return _code(source, [f"step:{name}"])


def _book(cells: list[dict[str, Any]], parameters: dict[str, None], *, parameters_missing: bool = False) -> dict[str, Any]:
    front: list[dict[str, Any]] = []
    if parameters:
        lines = [f'{name}: str = ""  {_TODO}: what it is, and a good default' for name in parameters]
        front.append(_code("\n".join(lines), ["parameters"]))
    elif parameters_missing:
        front.append(_code(f"{_TODO}: what changes from one execution to the next, one name a line", ["parameters"]))
    if any("confirm(" in c["source"] for c in cells if c["cell_type"] == "code"):
        front.append(_code("from holdfast import confirm", ["setup"]))
    at = 1 if cells and cells[0]["cell_type"] == "markdown" else 0
    made = [*cells[:at], *front, *cells[at:]]
    made.append(
        _text("**TODO** Is it real? How is it verified, and how undone (`teardown:STEP`)? `holdfast new` shows the parts of a runbook.")
    )
    for n, cell in enumerate(made):
        cell["id"] = f"c{n}"
    kernel = {"name": "holdfast", "display_name": "Holdfast", "language": "python"}
    about = {"owner": "TODO", "escalation": "TODO", "severity": "TODO"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel, "holdfast": about}, "cells": made}

"""A plain notebook, or an alert runbook in Markdown, made into the skeleton of a runbook; what could not be decided is marked TODO."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from holdfast.notebook.importing_commands import SHELL, TODO, Parameters, cell_of, is_command, looks_like_commands

_OPENS = re.compile(r"^(?P<before>[ \t]*(?:(?:[-*+]|\d+[.)]|>)[ \t]*)*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`]*)$")
_PYTHON = frozenset({"python", "py", "python3", "ipython", "pycon"})
#: What a person reads: it stays where it stands.
_READ = frozenset(
    "yaml yml json jsonc text txt plain plaintext output log logs none diff hcl ini toml xml html css csv http markdown md mermaid jinja "
    "env".split()
)
_PROMQL = frozenset({"promql", "metricsql", "prometheus"})
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HEADING = re.compile(r"^[ \t]*#+[ \t]+(.+?)[ \t]*#*$|^(?P<under>\S.*)\n(?:=+|-+)[ \t]*$", re.MULTILINE)


def from_bytes(raw: bytes) -> tuple[str, int]:
    """A text as its bytes say, with plain line ends; the second is how many bytes are no UTF-8, and are shown as ``\\xNN``."""
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    wrong = 0
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = raw.decode(encoding, "backslashreplace")
        wrong = len(raw.decode(encoding, "surrogateescape")) - len(raw.decode(encoding, "ignore")) if encoding != "utf-16" else 1
    return re.sub(r"\r\n?", "\n", text), wrong


def from_markdown(text: str, wrong: int = 0) -> dict[str, Any]:
    """A skeleton: prose stays prose, each block of commands becomes a step of its own, named after the heading above it; placeholders
    become parameters. Commands within sentences are put beside them, switched off.

    Args:
        wrong: bytes of the file that were no text; told.
    """
    parameters, names, cells = Parameters(), set[str](), list[dict[str, Any]]()
    heading, prose, uses = "step", list[str](), set[str]()

    def end_prose() -> None:
        nonlocal heading
        said = "\n".join(prose).strip("\n")
        prose.clear()
        if not said.strip():
            return
        cells.append(_text(said))
        plain = _without_fences(said)
        heading = _last_heading(plain) or heading
        inline = list(dict.fromkeys(c for c in _INLINE.findall(plain) if is_command(c)))
        if inline:
            lines = [f"{TODO}: the text above says this; switch on what is meant to be run", *(f"# !{command}" for command in inline)]
            cells.append(_step(_name(f"also {heading}", names), "\n".join(lines)))

    lines = text.split("\n")
    at = 0
    while at < len(lines):
        opens = _OPENS.match(lines[at])
        end = _closing(lines, at, opens["fence"]) if opens else None
        if opens is None or end is None:
            prose.append(lines[at])
            at += 1
            continue
        language = re.split(r"[\s,:}]", opens["info"].strip().lstrip("{.").lower(), maxsplit=1)[0]
        body = _body(lines[at + 1 : end], opens["before"])
        source = _source(language, body, parameters)
        if source is None:
            prose += lines[at : end + 1]
        else:
            about = opens["info"].strip().strip("{}.")[len(language) :].strip()
            source += f"\n# {about}" if about else ""
            prose += [opens["before"].rstrip()] if opens["before"].strip(" \t>") else []
            end_prose()
            cells.append(_step(_name(heading, names), source))
            uses.add(language)
        at = end + 1
    end_prose()
    if not names:
        cells.append(_step("first", f"{TODO}: nothing in the text can be run as it is: make steps of it"))
    if wrong:
        cells.insert(0, _text(f"**TODO** {wrong} bytes of the file were no UTF-8; they are shown as `\\xNN`."))
    return _gated(_book(cells, parameters, metrics=bool(uses & _PROMQL)), names)


def from_notebook(content: dict[str, Any]) -> dict[str, Any]:
    """A skeleton: cells that only import or define become `setup`, every other code cell a step; outputs are dropped."""
    cells: list[dict[str, Any]] = []
    names: set[str] = set()
    heading = "step"
    about = content.get("metadata", {})
    language = str((about.get("kernelspec") or {}).get("language") or (about.get("language_info") or {}).get("name") or "python").lower()
    tagged = any(":" in tag for c in content.get("cells", []) for tag in c.get("metadata", {}).get("tags", []))
    for cell in content.get("cells", []):
        source = "".join(cell.get("source", ""))
        if cell.get("cell_type") != "code":
            cells.append(_text(source) | ({"attachments": cell["attachments"]} if cell.get("attachments") else {}))
            heading = _last_heading(_without_fences(source)) or heading
        elif source.strip():
            tags = list(cell.get("metadata", {}).get("tags", []))
            if language not in _PYTHON or not _parses(source):
                cells.append(_step(_name(heading, names), _foreign(language, source)))
            elif tagged or "parameters" in tags:
                cells.append(_code(source, tags, cell.get("metadata", {}).get("holdfast")))
            elif _defines_only(source):
                cells.append(_code(source, ["setup"]))
            else:
                cells.append(_step(_name(heading, names), source))
    has = any("parameters" in c["metadata"].get("tags", []) for c in cells)
    return _gated(_book(cells, Parameters(), parameters_missing=not has), names)


# ---- Markdown


def _closing(lines: list[str], opened: int, fence: str) -> int | None:
    """Where a fence is closed; None where it never is."""
    closes = re.compile(rf"^[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    return next((n for n in range(opened + 1, len(lines)) if closes.match(lines[n])), None)


def _body(lines: list[str], before: str) -> str:
    """What stands in a fence, without the list's indentation or the quotation's marks."""
    if ">" in before:
        lines = [re.sub(r"^[ \t]*>[ \t]?", "", line) for line in lines]
    return textwrap.dedent("\n".join(lines)).rstrip("\n")


def _without_fences(text: str) -> str:
    kept: list[str] = []
    lines, at = text.split("\n"), 0
    while at < len(lines):
        opens = _OPENS.match(lines[at])
        end = _closing(lines, at, opens["fence"]) if opens else None
        if end is None:
            kept.append(lines[at])
        at = at + 1 if end is None else end + 1
    return "\n".join(kept)


def _last_heading(text: str) -> str | None:
    return next((m[1] or m["under"] for m in reversed(list(_HEADING.finditer(text)))), None)


def _source(language: str, body: str, parameters: Parameters) -> str | None:
    """The cell of a block; None when it is there to be read."""
    if language in _READ or not body.strip():
        return None
    if language in _PYTHON:
        prompted = re.search(r"^>>> ", body, re.MULTILINE) is not None
        code = "\n".join(line[4:] for line in body.split("\n") if line.startswith((">>> ", "... "))) if prompted else body
        return code if _parses(code) else _foreign("Python 2, or none", body)
    if language in SHELL or (not language and looks_like_commands(body)):
        return cell_of(body, parameters)
    if language in _PROMQL:
        queries = [q for q in re.split(r"\n\s*\n", "\n".join(n for n in body.split("\n") if not n.lstrip().startswith("#"))) if q.strip()]
        notes = [n for n in body.split("\n") if n.lstrip().startswith("#")]
        calls = [f"display(metrics.query({q.strip()!r}))" for q in queries]
        return "\n".join([f"{TODO}: parameter prometheus_url", *notes, *calls])
    return _foreign(language, body) if language else None


def _foreign(language: str, body: str) -> str:
    if language in SHELL:
        return cell_of(body, Parameters())
    return "\n".join([f"{TODO}: this is {language}, which is not run here", *(f"# {line}" for line in body.split("\n"))])


# ---- cells


def _name(heading: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")[:40].strip("-") or "step"
    base = f"step-{base}" if base in ("stop", "continue", "suspend") or base[0].isdigit() else base
    name, n = base, 2
    while name in taken:
        name, n = f"{base}-{n}", n + 1
    taken.add(name)
    return name


def _parses(source: str) -> bool:
    from holdfast.notebook.python import parse

    try:
        parse(source)
    except SyntaxError:
        return False
    return True


def _defines_only(source: str) -> bool:
    """Whether a cell does nothing but import, define and set the notebook up (``%matplotlib inline``)."""
    import ast

    try:
        body = ast.parse(re.sub(r"^%(matplotlib|load_ext|autoreload|config)\b.*$", "", source, flags=re.MULTILINE)).body
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


def _book(
    cells: list[dict[str, Any]], parameters: Parameters, *, parameters_missing: bool = False, metrics: bool = False
) -> dict[str, Any]:
    front: list[dict[str, Any]] = []
    if metrics:
        parameters["prometheus_url"] = None
    if parameters:
        lines = [f'{name}: str = ""  {TODO}: what it is, and a good default' for name in parameters]
        front.append(_code("\n".join(lines), ["parameters"]))
    elif parameters_missing:
        front.append(_code(f"{TODO}: what changes from one execution to the next, one name a line", ["parameters"]))
    if metrics:
        source = "from holdfast.integrations import prometheus\n\nmetrics = prometheus.connect(prometheus_url)"
        front.append(_code(source, ["setup"]))
    at = 1 if cells and cells[0]["cell_type"] == "markdown" else 0
    made = [*cells[:at], *front, *cells[at:]]
    made.append(
        _text("**TODO** Is it real? How is it verified, and how undone (`teardown:STEP`)? `holdfast new` shows the parts of a runbook.")
    )
    kernel = {"name": "holdfast", "display_name": "Holdfast", "language": "python"}
    about = {"owner": "TODO", "escalation": "TODO", "severity": "TODO"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel, "holdfast": about}, "cells": made}


def _gated(book: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Put a question before each step that destroys and asks nobody, and what asks into a `setup` cell."""
    from holdfast.notebook.check import check
    from holdfast.notebook.reader import read

    _number(book)
    bare = {f.index: f.message for f in check(read(book)) if f.code == "NB504" and f.index is not None}
    for index in sorted(bare, reverse=True):
        cell = book["cells"][index]
        step = next((t.partition(":")[2] for t in cell["metadata"].get("tags", []) if t.startswith("step:")), None)
        if step is not None:
            asks = f"{TODO}: {bare[index]}: name target and number here, and who must agree\nconfirm({f'run the step {step}?'!r})"
            book["cells"].insert(index, _step(_name(f"ask {step}", names), asks))
    if any("confirm(" in c["source"] for c in book["cells"] if c["cell_type"] == "code"):
        at = next((n for n, c in enumerate(book["cells"]) if "parameters" in c["metadata"].get("tags", [])), None)
        first = 1 if book["cells"][0]["cell_type"] == "markdown" else 0
        book["cells"].insert(first if at is None else at + 1, _code("from holdfast import confirm", ["setup"]))
    _number(book)
    return book


def _number(book: dict[str, Any]) -> None:
    for n, cell in enumerate(book["cells"]):
        cell["id"] = f"c{n}"

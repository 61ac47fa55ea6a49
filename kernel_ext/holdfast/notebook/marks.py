"""What a cell says of itself: by its tags, by ``#| key: value`` lines at its top, and by ``metadata.holdfast``."""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec

from holdfast.notebook.finding import Finding
from holdfast.notebook.metadata import STEP_KEYS, CellMetadata, cell_metadata, near
from holdfast.notebook.reader import NotebookCell

NAME = re.compile(r"\w[\w.-]{0,99}")
ASSET = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")
#: Words that ``on_failure`` gives another meaning.
RESERVED = frozenset({"stop", "continue", "suspend"})

_NAMED = ("step", "asset", "check", "teardown")
_PLAIN = ("parameters", "injected-parameters", "setup", "always", "skip")
_DIRECTIVE = re.compile(r"#\|\s*([\w-]+)\s*:\s*(.*?)\s*$")
_DIRECTIVES = (*_NAMED, "after", "when", "timeout", "on_failure", "effects", "max_effects", "max_targets", "max_percent", "approval",
               "pool", "always", "skip")  # fmt: skip


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """The marks of one code cell, from all three places together."""

    role: str | None = None  # "parameters", "injected-parameters" or "setup"
    step: str | None = None  # the name of the step it starts
    asset: str | None = None
    check: str | None = None
    teardown: str | None = None
    always: bool = False
    skip: bool = False
    metadata: CellMetadata = CellMetadata()
    has_policy: bool = False  # it carries keys that only a step can have


class _Reading:
    """Collects the marks of one cell and what is wrong with them."""

    def __init__(self, cell: NotebookCell) -> None:
        self.cell = cell
        self.findings: list[Finding] = []
        self.named: dict[str, str] = {}
        self.plain: set[str] = set()

    def report(self, code: str, message: str, cure: str = "", *, line: int | None = None) -> None:
        severity = _severity(code)
        self.findings.append(
            Finding(code=code, severity=severity, message=message, cure=cure, cell=self.cell.id, index=self.cell.index, line=line)
        )

    def name(self, kind: str, value: str, *, line: int | None = None) -> None:
        pattern = ASSET if kind == "asset" else NAME
        if not pattern.fullmatch(value):
            cure = "use letters, digits, '_', '-' and '.', at most 100" + (" and '/' between parts" if kind == "asset" else "")
            self.report("NB107", f"{value!r} is no name for {_article(kind)}", cure, line=line)
        elif kind == "step" and value in RESERVED:
            self.report("NB107", f"a step cannot be named {value!r}: on_failure gives the word a meaning", "choose another name", line=line)
        elif self.named.setdefault(kind, value) != value:
            self.report("NB106", f"the cell is marked {kind}:{self.named[kind]} and {kind}:{value}", "keep one of the two", line=line)

    def tags(self) -> None:
        for tag in self.cell.tags:
            kind, colon, value = (part.strip() for part in tag.partition(":"))
            if colon and kind in _NAMED:
                self.name(kind, value)
            elif not colon and kind in _PLAIN:
                self.plain.add(kind)
            elif colon:
                self._typo(tag, kind, [*_NAMED, *_PLAIN])
            elif kind in _NAMED:
                self.report("NB106", f"the tag {tag!r} names nothing", f"write {kind}:NAME")
            else:
                self._typo(tag, kind, [p for p in _PLAIN if p not in ("always", "skip")])

    def _typo(self, tag: str, kind: str, known: list[str]) -> None:
        """Foreign tags are fine (every tool has some); one that nearly is ours is a slip of the keyboard."""
        if kind.lower() in known or (match := difflib.get_close_matches(kind.lower(), known, n=1, cutoff=0.75)):
            meant = kind.lower() if kind.lower() in known else match[0]
            self.report("NB106", f"the tag {tag!r} means nothing here", f"did you mean {meant + (':NAME' if meant in _NAMED else '')!r}?")

    def directives(self) -> dict[str, Any]:
        """``#| key: value`` lines before the first other line."""
        found: dict[str, Any] = {}
        for number, line in enumerate(self.cell.source.split("\n"), 1):
            if not line.strip():
                continue
            match = _DIRECTIVE.match(line)
            if match is None:
                if line.startswith("#|"):
                    continue
                break
            key, value = match.group(1).replace("-", "_"), match.group(2).strip("\"'")
            if key not in _DIRECTIVES:
                if difflib.get_close_matches(key, _DIRECTIVES, n=1, cutoff=0.75):
                    self.report("NB106", f"the directive '#| {key}' means nothing here", near(key, _DIRECTIVES), line=number)
            elif key in _NAMED:
                self.name(key, value, line=number)
            elif key in ("always", "skip"):
                if value.lower() in ("true", "yes"):
                    self.plain.add(key)
            else:
                found[key] = self._value(key, value, number)
        return {k: v for k, v in found.items() if v is not None}

    def _value(self, key: str, value: str, line: int) -> Any:
        if key == "after":
            return [v.strip().strip("\"'") for v in value.strip("[]").split(",") if v.strip()]
        if key == "approval":
            return value.lower() in ("true", "yes")
        if key in ("timeout", "max_effects", "max_targets", "max_percent"):
            try:
                return float(value.removesuffix("%")) if key in ("timeout", "max_percent") else int(value)
            except ValueError:
                self.report("NB105", f"{key!r} must be a number, not {value!r}", "write the number alone", line=line)
                return None
        return value


def read_marks(cell: NotebookCell) -> tuple[Marks, list[Finding]]:
    """The marks of a code cell, and what is wrong with them (NB105 to NB107)."""
    reading = _Reading(cell)
    reading.tags()
    above = reading.directives()
    raw = cell.metadata.get("holdfast")
    if isinstance(raw, dict):
        raw = {**above, **raw}
    elif raw is None and above:
        raw = above
    metadata, problems = cell_metadata(raw)
    for message, cure in problems:
        reading.report("NB105", f"metadata.holdfast: {message}", cure)
    for kind in _NAMED:
        value = getattr(metadata, kind)
        if value is not None:
            reading.name(kind, value)
    named, plain = reading.named, reading.plain
    role = next((r for r in ("parameters", "injected-parameters", "setup") if r in plain), None)
    if role and named:
        kind, value = next(iter(named.items()))
        reading.report("NB106", f"the cell is tagged {role!r} and {kind}:{value}", "split it: a cell that starts a step has no other role")
        role = None
    marks = Marks(
        role=role,
        step=_step_name(named),
        asset=named.get("asset"),
        check=named.get("check"),
        teardown=named.get("teardown"),
        always=metadata.always or "always" in plain,
        skip=metadata.skip or "skip" in plain,
        metadata=metadata,
        has_policy=isinstance(raw, dict) and bool(STEP_KEYS & set(raw)),
    )
    return marks, reading.findings


def _step_name(named: dict[str, str]) -> str | None:
    if "step" in named:
        return named["step"]
    if "asset" in named:
        return named["asset"].replace("/", "_")
    if "check" in named:
        return named["check"]
    return f"teardown-{named['teardown']}" if "teardown" in named else None


def _severity(code: str) -> Any:
    return "error" if code in ("NB105", "NB107") else "warning"


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "asset" else f"a {kind}"

"""``holdfast check``: run every check over a notebook. The contract for further checks stands here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from holdfast.errors import AuthorError
from holdfast.notebook.book import Book, open_book
from holdfast.notebook.commands import load, tables_of, using
from holdfast.notebook.finding import Finding, Severity
from holdfast.notebook.metadata import near
from holdfast.notebook.reader import Notebook

#: The entry-point group in which packages offer further checks.
GROUP = "holdfast.checks"

_IGNORE = re.compile(r"#\s*holdfast:\s*ignore\[([^\]]*)\][ \t]*(.*)")
_SEVERITY: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


@runtime_checkable
class Check(Protocol):
    """One family of rules. An entry point of the group ``holdfast.checks`` names an instance, or a class without arguments."""

    @property
    def codes(self) -> Mapping[str, str]:
        """Every code it may report -> its title, one line."""

    def run(self, book: Book) -> Iterable[Finding]:
        """Look through ``book`` and report what is found; never alters it."""


def check(notebook: Notebook, checks: Sequence[Check] | None = None) -> list[Finding]:
    """Everything that is found, in the order of the cells; what an ``# holdfast: ignore[CODE] reason`` covers is left out.

    The comment counts for its own line and the one below; above the first statement of a cell it counts for the whole cell.

    Args:
        notebook: as read.
        checks: those to run; by default the built-in ones and those of installed packages.
    """
    book = open_book(notebook)
    running = [*all_checks()] if checks is None else list(checks)
    known = {code for c in running for code in c.codes} | set(_OWN)
    findings: list[Finding] = []
    tables, broken = _tables(notebook)
    findings += broken
    with using(tables):
        for one in running:
            try:
                findings += one.run(book)
            except Exception as error:  # a stranger's check must not hide what the others found
                name = type(one).__name__
                message = f"the check {name} itself failed: {type(error).__name__}: {error}"
                findings.append(Finding(code="NB002", severity="warning", message=message, cure="report it to the package it comes from"))
    ignores = {cell.id: _Ignores(cell.source) for cell in notebook.code_cells}
    kept = [f for f in findings if f.cell not in ignores or not ignores[f.cell].covers(f)]
    for cell in notebook.code_cells:
        for line, codes, reason in ignores[cell.id].all:
            unknown = [c for c in codes if c not in known]
            what = f"unknown code {unknown[0]!r}{_hint(unknown[0], known)}" if unknown else "" if reason else "no reason is given"
            if what:
                cure = "write # holdfast: ignore[CODE] and why it is right here"
                message = f"the comment to ignore a finding: {what}"
                kept.append(Finding(code="NB003", severity="info", message=message, cure=cure, cell=cell.id, index=cell.index, line=line))
    unique = {msgspec.structs.astuple(f): f for f in kept}.values()
    return sorted(unique, key=lambda f: (-1 if f.index is None else f.index, f.line or 0, _SEVERITY[f.severity], f.code))


def _tables(notebook: Notebook) -> tuple[list[Path], list[Finding]]:
    """The notebook's own tables of commands, and what is wrong with those that cannot be used."""
    about = notebook.metadata.get("holdfast")
    found: list[Path] = []
    broken: list[Finding] = []
    for path in tables_of(about, notebook.path) if isinstance(about, dict) else ():
        try:
            load(path)
            found.append(path)
        except AuthorError as error:
            broken.append(Finding(code="NB004", severity="error", message=f"{error.what}: {path}", cure=error.cure))
    return found, broken


def _hint(word: str, known: set[str]) -> str:
    return f" ({hint})" if (hint := near(word, known)) else ""


_OWN = {
    "NB002": "a check itself failed",
    "NB003": "a comment to ignore a finding that says too little",
    "NB004": "a table of commands that cannot be used",
}


def all_codes() -> dict[str, str]:
    """Every code of the built-in and installed checks -> its title."""
    return dict(sorted({**_OWN, **{code: title for c in all_checks() for code, title in c.codes.items()}}.items()))


@lru_cache(maxsize=1)
def all_checks() -> tuple[Check, ...]:
    """The built-in checks, then those of installed packages. One that cannot be loaded reports that instead of hiding it."""
    from holdfast.notebook.checks import BUILT_IN

    found: list[Check] = list(BUILT_IN)
    for point in entry_points(group=GROUP):
        try:
            loaded = point.load()
            found.append(loaded() if isinstance(loaded, type) else loaded)
        except Exception as error:
            found.append(_Broken(point.name, f"{type(error).__name__}: {error}"))
    return tuple(found)


class _Broken:
    """Stands for a check that cannot be loaded."""

    codes: Mapping[str, str] = {}

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why

    def run(self, book: Book) -> Iterable[Finding]:
        message = f"the check {self.name} cannot be loaded: {self.why}"
        yield Finding(code="NB002", severity="warning", message=message, cure="update or remove the package it comes from")


class _Ignores:
    """The comments of one cell that ask to leave findings out."""

    def __init__(self, source: str) -> None:
        self.all: list[tuple[int, tuple[str, ...], str]] = []
        self.whole: set[str] = set()
        self.lines: dict[int, set[str]] = {}
        above = True
        for number, line in enumerate(source.split("\n"), 1):
            above = above and (not line.strip() or line.lstrip().startswith(("#", "%%")))
            match = _IGNORE.search(line)
            if match is None:
                continue
            codes = tuple(c.strip() for c in match.group(1).split(",") if c.strip())
            self.all.append((number, codes, match.group(2).strip()))
            if above:
                self.whole.update(codes)
            for at in (number, number + 1):
                self.lines.setdefault(at, set()).update(codes)

    def covers(self, finding: Finding) -> bool:
        if finding.line is None:  # it speaks of the cell as a whole
            return any(finding.code in codes for _, codes, _ in self.all)
        return finding.code in self.whole or finding.code in self.lines.get(finding.line, ())

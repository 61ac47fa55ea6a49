"""A notebook laid open for checks: cells with their syntax trees, names, shell lines, their steps and what must run before them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import msgspec

from holdfast.model.manifest import Manifest, Step
from holdfast.notebook.finding import Finding, Severity
from holdfast.notebook.magics import PYTHON_BODY, Magic, understand
from holdfast.notebook.names import Names, names_of
from holdfast.notebook.plain import meanings, plainly
from holdfast.notebook.python import parse
from holdfast.notebook.reader import Notebook, NotebookCell


class ShellLine(msgspec.Struct, frozen=True, kw_only=True):
    """Shell text in a cell."""

    text: str
    line: int  # of the cell, where the text begins
    expanded: bool  # IPython puts in {x} and $x
    syntax: str  # "!", "x = !", "%%bash" ...
    node: ast.Call


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One code cell."""

    cell: NotebookCell
    tree: ast.Module | None  # None: no Python
    names: Names
    step: str | None  # the step it belongs to; None for parameters and setup
    shells: tuple[ShellLine, ...] = ()
    magics: tuple[Magic, ...] = ()

    def walk(self) -> Iterator[ast.AST]:
        """Every node of the cell."""
        if self.tree is not None:
            yield from ast.walk(self.tree)

    def finding(
        self, code: str, severity: Severity, at: ast.AST | int | None, message: str, cure: str = "", column: int | None = None
    ) -> Finding:
        """A finding in this cell, at a node or a line."""
        line = at if isinstance(at, int) or at is None else getattr(at, "lineno", None)
        if isinstance(at, ast.AST):
            column = getattr(at, "col_offset", 0) + 1
        return Finding(
            code=code, severity=severity, message=message, cure=cure, cell=self.cell.id, index=self.cell.index, line=line, column=column
        )


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The whole notebook."""

    notebook: Notebook
    manifest: Manifest
    compiled: tuple[Finding, ...]  # what the compiler found
    pages: tuple[Page, ...]  # code cells that take part, in order

    def step_of(self, page: Page) -> Step | None:
        """The step a cell belongs to."""
        return self.manifest.step(page.step) if page.step else None

    def before(self, page: Page) -> tuple[Page, ...]:
        """The pages that have surely run when ``page`` begins: parameters, setup, its step's ancestors, its step's cells above."""
        if page.step is None:
            return tuple(p for p in self.pages if p.step is None and p.cell.index < page.cell.index)
        above = set(self.manifest.ancestors(page.step))
        return tuple(p for p in self.pages if p.step is None or p.step in above or (p.step == page.step and p.cell.index < page.cell.index))


def open_book(notebook: Notebook) -> Book:
    """Lay a notebook open. Never raises for what it says."""
    from holdfast.notebook.compile import examine

    compiled = examine(notebook)
    manifest = compiled.manifest
    steps = {c.id: s.name for s in manifest.steps for c in s.cells}
    steps |= {c.id: "" for c in [*manifest.setup, manifest.parameters_cell, manifest.injected_cell] if c is not None}
    cells = [cell for cell in notebook.code_cells if cell.id in steps]
    trees = {cell.id: _parsed(cell) for cell in cells}
    known = meanings(tree for tree in trees.values() if tree is not None)
    pages = tuple(_page(cell, steps[cell.id] or None, trees[cell.id], known) for cell in cells)
    return Book(notebook=notebook, manifest=manifest, compiled=compiled.findings, pages=pages)


def _parsed(cell: NotebookCell) -> ast.Module | None:
    try:
        return parse(cell.source)
    except SyntaxError:
        return None


def _page(cell: NotebookCell, step: str | None, tree: ast.Module | None, known: Mapping[str, ast.expr]) -> Page:
    tree = plainly(tree, known) if tree is not None else None
    shells: list[ShellLine] = []
    magics: list[Magic] = []
    for node in ast.walk(tree) if tree is not None else ():
        magic = understand(node)
        if magic is not None and isinstance(node, ast.Call):
            magics.append(magic)
            if magic.shell is not None:
                text, expanded, line = magic.shell
                syntax = "%%" + magic.name if magic.kind == "cell" else "%" + magic.name if magic.kind == "line" else magic.name
                shells.append(ShellLine(text=text, line=line, expanded=expanded, syntax=syntax, node=node))
    body = next((m.python for m in magics if m.kind == "cell" and m.name in PYTHON_BODY and m.python), None)
    if body is not None and tree is not None:
        tree = _inner(*body) or tree
    return Page(cell=cell, tree=tree, names=names_of(cell.source), step=step, shells=tuple(shells), magics=tuple(magics))


def _inner(source: str, line: int) -> ast.Module | None:
    """The Python inside a ``%%capture`` or ``%%time`` cell, with the lines of the cell."""
    try:
        # parsed anew from padded text: the shared tree of the bare body must not be altered
        return parse("\n" * (line - 1) + source)
    except SyntaxError:
        return None

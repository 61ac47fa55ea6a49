"""``# @label: text`` comments: they name the statement or block that follows, and so draw the picture of a step."""

from __future__ import annotations

import ast
import re

import msgspec

from holdfast.notebook.python import parse

_LABEL = re.compile(r"^\s*#\s*@label:\s*(.*?)\s*$")
_COMPOUND = (
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.If,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.With,
    ast.AsyncWith,
    ast.Try,
)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled statement. Unlabelled code folds into the block around it."""

    label: str
    kind: str  # "statement", "loop", "decision", "function", "block"
    line: int  # of the label, within the cell
    body: tuple[Block, ...] = ()
    orelse: tuple[Block, ...] = ()  # of a decision: what is labelled under `else`


def labels(source: str) -> list[str]:
    """The labels of a cell, from top to bottom."""
    return list(_labels(source).values())


def first_label(source: str) -> str | None:
    """The first label of a cell, if it has one."""
    return next(iter(_labels(source).values()), None)


def blocks(source: str) -> tuple[Block, ...]:
    """The labelled blocks of a cell, nested as the code is. Labels in a cell that is no Python stand one after the other."""
    labels = _labels(source)
    if not labels:
        return ()
    try:
        body = parse(source).body
    except SyntaxError:
        body = []
    found = _blocks(body, labels)
    left = [Block(label=text, kind="statement", line=line) for line, text in labels.items()]  # what no statement took
    return tuple(sorted([*found, *left], key=lambda b: b.line))


def _labels(source: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for number, line in enumerate(source.split("\n"), 1):
        match = _LABEL.match(line)
        if match and match.group(1):
            found[number] = match.group(1)
    return found


def _blocks(body: list[ast.stmt], labels: dict[int, str]) -> list[Block]:
    """Take the labels that stand directly above the statements of ``body``; they are removed from ``labels``."""
    found: list[Block] = []
    for statement in body:
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        own = _above(first, body, statement, labels)
        text = labels.pop(own) if own is not None else None
        inner = [b for part in _parts(statement) for b in _blocks(part, labels)]
        other = _blocks(statement.orelse, labels) if isinstance(statement, ast.If) else []
        if text is not None and own is not None:
            found.append(Block(label=text, kind=_kind(statement), line=own, body=tuple(inner), orelse=tuple(other)))
        else:
            found += [*inner, *other]
    return found


def _above(first: int, body: list[ast.stmt], statement: ast.stmt, labels: dict[int, str]) -> int | None:
    """The line of the nearest label between the statement before and this one."""
    at = body.index(statement)
    after = (body[at - 1].end_lineno or body[at - 1].lineno) if at else 0
    lines = [line for line in labels if after < line < first]
    return max(lines) if lines else None


def _parts(statement: ast.stmt) -> list[list[ast.stmt]]:
    if isinstance(statement, ast.Match):
        return [case.body for case in statement.cases]
    if not isinstance(statement, (*_COMPOUND, ast.TryStar)):
        return []
    parts = [statement.body]
    if not isinstance(statement, ast.If):
        parts.append(getattr(statement, "orelse", []))
    parts += [h.body for h in getattr(statement, "handlers", [])]
    parts.append(getattr(statement, "finalbody", []))
    return parts


def _kind(statement: ast.stmt) -> str:
    if isinstance(statement, (ast.For, ast.AsyncFor, ast.While)):
        return "loop"
    if isinstance(statement, (ast.If, ast.Match)):
        return "decision"
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return "function"
    return "block" if isinstance(statement, _COMPOUND) else "statement"

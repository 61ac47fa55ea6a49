"""What short names in a notebook stand for, so that checks see through them: verbs imported under another name, a method or a command line
kept in a variable."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Mapping

#: What runs a command line that it is given as its first argument.
_RUNS = frozenset({"run", "call", "check_call", "check_output", "Popen", "system", "popen"})


def meanings(trees: Iterable[ast.Module]) -> dict[str, ast.expr]:
    """Name -> what it stands for everywhere in the notebook. A name that is bound twice stands for nothing certain."""
    found: dict[str, ast.expr] = {}
    bound: dict[str, int] = {}
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "holdfast":
            found |= {a.asname: ast.Name(a.name, ast.Load()) for a in node.names if a.asname}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound[node.id] = bound.get(node.id, 0) + 1
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if _may_stand(node.value):
                found[node.targets[0].id] = node.value
    return {name: value for name, value in found.items() if bound.get(name, 0) <= 1}


def _may_stand(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return _name(value.func) in ("partial", "split")
    return isinstance(value, (ast.Attribute, ast.List, ast.Tuple, ast.JoinedStr, ast.BinOp)) or _text(value) is not None


def plainly(tree: ast.Module, known: Mapping[str, ast.expr]) -> ast.Module:
    """The tree with names replaced by what they stand for; itself when there is nothing to replace."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if not any(isinstance(c.func, ast.Name) and c.func.id in known for c in calls) and not any(_indirect(c) for c in calls):
        return tree
    made: ast.Module = _Rewriter(known).visit(copy.deepcopy(tree))  # the tree itself is shared with whoever parses the same text
    return ast.fix_missing_locations(made)


def _indirect(call: ast.Call) -> bool:
    """Whether it runs a command line that stands elsewhere, or has to be put together."""
    if _name(call.func) not in _RUNS or not call.args:
        return False
    first = call.args[0]
    return isinstance(first, (ast.Name, ast.BinOp, ast.Call)) or any(isinstance(e, ast.Starred) for e in getattr(first, "elts", ()))


class _Rewriter(ast.NodeTransformer):
    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self._known = known

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        stands = self._known.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if isinstance(stands, ast.Call) and _name(stands.func) == "partial" and stands.args:
            node.func = _at(stands.args[0], node)
            node.keywords = [*(copy.deepcopy(k) for k in stands.keywords), *node.keywords]
        elif isinstance(stands, (ast.Name, ast.Attribute)):
            node.func = _at(stands, node)
        if _indirect(node):
            words = self._words(node.args[0], 0)
            if words is not None:
                node.args[0] = _at(words, node)
        return node

    def _words(self, node: ast.expr, depth: int) -> ast.expr | None:
        """The command line as one literal: a list or a text; None when it cannot be told."""
        if depth > 4:
            return None
        if isinstance(node, ast.Name) and node.id in self._known:
            return self._words(self._known[node.id], depth + 1)
        if isinstance(node, ast.Call) and _name(node.func) == "split":
            given = node.func.value if isinstance(node.func, ast.Attribute) and not node.args else next(iter(node.args), None)
            return self._words(given, depth + 1) if given is not None else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = [self._words(side, depth + 1) for side in (node.left, node.right)]
            return ast.List([e for s in sides if isinstance(s, ast.List) for e in s.elts], ast.Load()) if all(
                isinstance(s, ast.List) for s in sides
            ) else None  # fmt: skip
        if isinstance(node, (ast.List, ast.Tuple)):
            elements: list[ast.expr] = []
            for element in node.elts:
                inner = self._words(element.value, depth + 1) if isinstance(element, ast.Starred) else None
                elements += inner.elts if isinstance(inner, ast.List) else [element]
            return ast.List(elements, ast.Load())
        return node if isinstance(node, ast.JoinedStr) or _text(node) is not None else None


def _at(node: ast.expr, place: ast.AST) -> ast.expr:
    """A copy that stands where ``place`` stands."""
    made = copy.deepcopy(node)
    for inner in ast.walk(made):
        ast.copy_location(inner, place)
    return made


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

"""Whether a function leaves traces in memory that outlive its call: whether skipping a call of it would be noticed.

``for_each`` does not run a completed item again, but an item may also have changed a variable (``log.append(...)``), and that change is in
no checkpoint when the step was cut off in the middle. Such an item is gone through again with its calls answered from the record. The
decision is made from the source, and leans towards going through again: an item without need is a matter of microseconds.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

#: Methods of the built-in containers that change them in place.
_MUTATORS = frozenset(
    "append extend insert remove pop popitem clear sort reverse add discard update setdefault appendleft extendleft popleft rotate "
    "difference_update intersection_update symmetric_difference_update subtract move_to_end put put_nowait send".split()
)
_ESCAPES = frozenset({"setattr", "delattr", "exec", "eval", "globals", "vars", "next"})
_FRESH = (ast.Constant, ast.List, ast.Dict, ast.Set, ast.Tuple, ast.ListComp, ast.DictComp, ast.SetComp, ast.JoinedStr, ast.Call, ast.BinOp)


def leaves_traces(function: Callable[..., Any]) -> bool:
    """Whether a call of ``function`` may change an object that it did not make itself."""
    return _leaves(function, set())


def _leaves(function: Any, seen: set[int]) -> bool:
    function = inspect.unwrap(function)
    if isinstance(function, functools.partial):
        return _leaves(function.func, seen)
    if isinstance(function, MethodType):
        function = function.__func__
    if isinstance(function, BuiltinMethodType):
        return isinstance(function.__self__, list | dict | set | bytearray)
    if not isinstance(function, FunctionType):
        call = type(function).__dict__.get("__call__")
        return isinstance(call, FunctionType) and _leaves(call, seen)
    if id(function) in seen:
        return False
    seen.add(id(function))
    tree = _tree(function)
    return tree is None or _Reader(function, seen).finds(tree)


def _tree(function: FunctionType) -> ast.AST | None:
    """The function's source, or None when it cannot be had (then the worst is assumed)."""
    try:
        module = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    kinds = (ast.Lambda,) if function.__name__ == "<lambda>" else (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(module) if isinstance(node, kinds)]
    return found[0] if found else None


class _Reader(ast.NodeVisitor):
    """Looks for the first trace."""

    def __init__(self, function: FunctionType, seen: set[int]) -> None:
        self._function, self._seen = function, seen
        self._own: set[str] = set()
        self._found = False

    def finds(self, tree: ast.AST) -> bool:
        """Whether ``tree`` (a function) changes what it did not make."""
        self._own = _made_here(tree)
        body = tree.body if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef) else [tree.body]  # type: ignore[attr-defined]
        for statement in body:
            self.visit(statement)
        return self._found

    def visit(self, node: ast.AST) -> None:
        """Stop looking once something was found."""
        if not self._found:
            super().visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        """A variable outside is bound."""
        self._found = True

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        """Likewise."""
        self._found = True

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """``x.y = ...`` where x was not made here."""
        self._store(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """``x[y] = ...`` where x was not made here."""
        self._store(node)

    def _store(self, node: ast.Attribute | ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Store | ast.Del) and self._is_foreign(node.value):
            self._found = True
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """A method that changes its object, or a function of the author's that leaves traces."""
        called = node.func
        if isinstance(called, ast.Attribute):
            if self._is_foreign(called.value) and (called.attr in _MUTATORS or self._is_ours(called)):
                self._found = True
        elif isinstance(called, ast.Name):
            target = self._function.__globals__.get(called.id)
            ours = isinstance(target, FunctionType) and target.__globals__ is self._function.__globals__
            if called.id in _ESCAPES or (ours and _leaves(target, self._seen)):
                self._found = True
        self.generic_visit(node)

    def _is_ours(self, called: ast.Attribute) -> bool:
        """Whether it is a method that the author wrote, and that leaves traces."""
        if not isinstance(called.value, ast.Name):
            return False
        method = getattr(type(self._function.__globals__.get(called.value.id)), called.attr, None)
        return isinstance(method, FunctionType) and method.__globals__ is self._function.__globals__ and _leaves(method, self._seen)

    def _is_foreign(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        return isinstance(node, ast.Name) and node.id not in self._own


def _made_here(tree: ast.AST) -> set[str]:
    """Local names that only ever mean objects made in the function itself."""
    own: set[str] = set()
    others = {
        a.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for a in [*node.posonlyargs, *node.args, *node.kwonlyargs]
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    (own if isinstance(node.value, _FRESH) else others).add(target.id)
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            own.add(node.optional_vars.id)
    return own - others

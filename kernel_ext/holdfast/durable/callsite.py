"""Call sites of a cell: ``f(x)`` becomes ``__holdfast_call__(f, "site")(x)``.

The helper hands back ``f`` itself, or, when ``f`` *is* a clock or a source of randomness, its durable replacement; whatever name the author
gave it. As the helper has returned when ``f`` is called, frames and tracebacks are those of the author's code: ``locals()``, ``super()``
and ``warnings.warn(stacklevel=...)`` see what they always see. Nothing is patched in any library.
"""

from __future__ import annotations

import ast
import builtins
import datetime
import functools
import types
from collections.abc import Callable
from typing import Any

from holdfast.durable import clock, current, randomness

NAME = "__holdfast_call__"

_BUILTINS = frozenset(dir(builtins))
#: Methods of the basic types: whoever has one of these is no clock.
_METHODS = frozenset(name for kind in (str, bytes, list, dict, set, tuple, int, float) for name in dir(kind))
#: Last parts of names that may mean a clock or a source of randomness: their site is told, so that an edit elsewhere does not move them.
_TOLD = frozenset(
    "time time_ns sleep monotonic monotonic_ns perf_counter perf_counter_ns localtime gmtime ctime strftime asctime now utcnow today "
    "uuid1 uuid4 choice choices sample shuffle Random default_rng RandomState "
    "token_bytes token_hex token_urlsafe randbelow randbits urandom".split()
) | frozenset(randomness._NUMBERS)
#: Decorators that compile the function's own bytecode: it must stay as written.
_COMPILERS = frozenset("jit njit vectorize guvectorize stencil cfunc generated_jit overload script kernel".split())
_MOMENTS = frozenset(("now", "utcnow", "today"))
_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)
_BUILTIN_METHOD = types.BuiltinMethodType

_replacements: dict[int, Callable[..., Any]] = {}
_alive: list[Any] = []  # what the ids above belong to


def holdfast_call(function: Any, site: str = "") -> Any:
    """``function``, or its durable replacement. Called before every call in a cell: lean."""
    found = _replacements.get(id(function))
    if found is not None:
        return functools.partial(found, site) if current._current is not None else function
    if type(function) is _BUILTIN_METHOD:
        owner = function.__self__
        if type(owner) is type and function.__name__ in _MOMENTS and issubclass(owner, datetime.date) and current._current is not None:
            return functools.partial(clock.of_class(owner, function.__name__), site)
    return function


def install() -> None:
    """Make the helper known to all code of this process, rewritten code that a checkpoint restores included. Idempotent."""
    if not _replacements:
        _add(clock.table())
        _add(randomness.table())
    setattr(builtins, NAME, holdfast_call)


def add_numpy() -> None:
    """NumPy's random functions too; called once ``numpy.random`` is imported."""
    _add(randomness.numpy_table())


def uninstall() -> None:
    """For tests: rewritten code still runs, and records nothing."""
    _replacements.clear()
    _alive.clear()


def _add(table: dict[Any, Callable[..., Any]]) -> None:
    for function, replacement in table.items():
        _alive.append(function)
        _replacements[id(function)] = replacement


class CallSites(ast.NodeTransformer):
    """For ``shell.ast_transformers``; each visit is one cell.

    Args:
        on_cell: called when a cell is about to run, in its own asyncio task.
    """

    def __init__(self, on_cell: Callable[[], None] | None = None) -> None:
        self._on_cell = on_cell
        self._inside: list[str] = []
        self._statement: ast.AST | None = None
        self._text = ""

    def visit(self, node: ast.AST) -> Any:
        """Remember the innermost simple statement: it names the call sites in it (``token = uuid4()``)."""
        if isinstance(node, _SIMPLE):
            self._statement, self._text = node, ""
            try:
                return super().visit(node)
            finally:
                self._statement = None
        return super().visit(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        if self._on_cell is not None:
            self._on_cell()
        self._inside = []
        return self.generic_visit(node)

    visit_Interactive = visit_Expression = visit_Module  # type: ignore[assignment]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        told = _last_name(node.func)
        site = self._site(node) if told in _TOLD else ""
        self.generic_visit(node)
        if told in (_BUILTINS if isinstance(node.func, ast.Name) else _METHODS):
            return node
        helper = ast.copy_location(ast.Name(NAME, ast.Load()), node.func)
        arguments: list[ast.expr] = [node.func]
        if site:
            arguments.append(ast.copy_location(ast.Constant(site), node.func))
        node.func = ast.copy_location(ast.Call(helper, arguments, []), node.func)
        return node

    def _site(self, node: ast.Call) -> str:
        """Names a call by what it is written in, so that an edit elsewhere does not move it."""
        if self._statement is None:
            return f"{'.'.join(self._inside)}:{ast.unparse(node)}"
        self._text = self._text or ast.unparse(self._statement)
        return f"{'.'.join(self._inside)}:{self._text}"

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._inside.append(node.name)
        try:
            self.generic_visit(node)
        finally:
            self._inside.pop()
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node  # annotations are not touched: tools read them

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        node.target = self.visit(node.target)
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        if any(_last_name(d.func if isinstance(d, ast.Call) else d) in _COMPILERS for d in map(_plain, node.decorator_list)):
            return node
        self._inside.append(node.name)
        try:
            self.visit(node.args)
            node.body = [self.visit(statement) for statement in node.body]
        finally:
            self._inside.pop()
        return node


def _plain(node: ast.expr) -> ast.expr:
    """A decorator without the helper around its function."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Call)
        and isinstance(node.func.func, ast.Name)
        and node.func.func.id == NAME
    ):
        return node.func.args[0]
    return node


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""

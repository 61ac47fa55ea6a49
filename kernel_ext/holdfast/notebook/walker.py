"""The order in which a cell uses global names: branches, loops and functions walked as Python runs them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Literal

import msgspec

EventKind = Literal["read", "bind", "mutate", "delete"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a global name. Lines and columns count from 1."""

    kind: EventKind
    name: str
    line: int
    column: int
    deferred: bool = False  # inside a function or lambda: happens when that is called
    bound: bool = False  # read: surely bound before, within the cell
    certain: bool = False  # bind: happens whenever the cell completes
    soft: bool = False  # `$name` in a shell line: may be the shell's own variable


def bound_in(node: ast.AST) -> Iterable[str]:
    """Names a function body binds, nested functions and comprehensions left out (a walrus in those counts)."""
    todo: list[tuple[ast.AST, bool]] = [(child, False) for child in ast.iter_child_nodes(node)]
    while todo:
        at, inside = todo.pop()
        if isinstance(at, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if not inside:
                yield at.name
            continue
        if isinstance(at, ast.Lambda):
            continue
        if isinstance(at, ast.NamedExpr):
            yield at.target.id
        elif isinstance(at, ast.Name) and isinstance(at.ctx, (ast.Store, ast.Del)) and not inside:
            yield at.id
        elif isinstance(at, (ast.Import, ast.ImportFrom)):
            yield from ((a.asname or a.name).split(".")[0] for a in at.names)
        elif isinstance(at, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and at.name:
            yield at.name
        elif isinstance(at, ast.MatchMapping) and at.rest:
            yield at.rest
        comprehension = isinstance(at, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
        todo += [(child, inside or comprehension) for child in ast.iter_child_nodes(at)]


def _type_parameters(node: ast.AST) -> set[str]:
    """``T`` of ``def f[T](x: T)`` (Python 3.12)."""
    return {str(parameter.name) for parameter in getattr(node, "type_params", ())}


def root_of(node: ast.AST) -> ast.Name | None:
    """The name an attribute or subscript chain starts from."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    return node if isinstance(node, ast.Name) else None


class BranchWalker(ast.NodeVisitor):
    """Walks statements in the order they run. ``bound`` holds what is surely bound at this point."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.functions: dict[str, list[Event]] = {}
        self.modules: set[str] = set()
        self.dynamic = False
        self.bound: set[str] = set()
        self.scopes: list[set[str]] = []  # names local to the enclosing functions and comprehensions
        self.deferred = 0
        self.branches = 0
        self.owner: list[str] = []  # the module-level function or class being walked
        self.aliases: dict[str, set[str]] = {}
        self.offset = 0

    # -- events ------------------------------------------------------------------------------------------------------

    def event(self, kind: EventKind, name: str, node: ast.AST, *, soft: bool = False) -> None:
        """Note one use of a name, unless it is local to a function."""
        if any(name in scope for scope in self.scopes):
            return
        event = Event(
            kind=kind,
            name=name,
            line=getattr(node, "lineno", 1) + self.offset,
            column=getattr(node, "col_offset", 0) + 1,
            deferred=self.deferred > 0,
            bound=name in self.bound,
            certain=self.branches == 0,
            soft=soft,
        )
        self.events.append(event)
        if self.owner and self.deferred:
            self.functions[self.owner[-1]].append(event)
        if self.deferred:
            return
        if kind == "bind":
            self.bound.add(name)
            self.aliases.pop(name, None)
        elif kind == "delete":
            self.bound.discard(name)

    def mutate(self, node: ast.AST) -> None:
        """Note that the object at the root of a chain, and those it may be part of, change in place."""
        root = root_of(node)
        if root is None or root.id in self.modules:
            return
        self.event("mutate", root.id, root)
        for other in self.aliases.get(root.id, ()):
            self.event("mutate", other, root)

    # -- blocks ------------------------------------------------------------------------------------------------------

    def block(self, body: list[ast.stmt]) -> bool:
        """Walk statements; False when the end is never reached."""
        for statement in body:
            self.visit(statement)
            if isinstance(statement, (ast.Return, ast.Raise, ast.Continue, ast.Break)):
                return False
        return True

    def _branch(self, body: list[ast.stmt], before: set[str]) -> set[str] | None:
        """What is bound at the end of a branch; None when its end is never reached."""
        self.bound = set(before)
        self.branches += 1
        ends = self.block(body)
        self.branches -= 1
        return self.bound if ends else None

    def _join(self, ends: list[set[str] | None], before: set[str]) -> None:
        reached = [e for e in ends if e is not None]
        after = set.intersection(*reached) if reached else set(before)
        if self.branches == 0 and not self.deferred and reached:
            for name in after - before:  # bound on every way: certain after all
                self.events.append(Event(kind="bind", name=name, line=1, column=1, certain=True))
        self.bound = after

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        before = set(self.bound)
        self._join([self._branch(node.body, before), self._branch(node.orelse, before)], before)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        before, ends = set(self.bound), []
        for case in node.cases:
            self.bound = set(before)
            self.visit(case.pattern)
            if case.guard:
                self.visit(case.guard)
            ends.append(self._branch(case.body, set(self.bound)))
        last = node.cases[-1]
        whole = last.guard is None and isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        self._join([*ends, *([] if whole else [set(before)])], before)

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        before = set(self.bound)
        self.branches += 1
        self.visit(node.target)
        roots = {n.id for n in ast.walk(node.iter) if isinstance(n, ast.Name) and n.id not in self.modules}
        for target in ast.walk(node.target):
            if isinstance(target, ast.Name):
                self.aliases[target.id] = roots - {target.id}
        self.block(node.body)
        self.branches -= 1
        self.bound = set(before)
        self._branch(node.orelse, before)
        self.bound = before

    visit_For = _for
    visit_AsyncFor = _for

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        before = set(self.bound)
        forever = isinstance(node.test, ast.Constant) and bool(node.test.value)
        if forever:
            self.block(node.body)
        else:
            self._branch(node.body, before)
            self._branch(node.orelse, before)
            self.bound = before

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        before = set(self.bound)
        ends = [self._branch([*node.body, *node.orelse], before)]
        for handler in node.handlers:
            self.bound = set(before)
            if handler.type:
                self.visit(handler.type)
            if handler.name:
                self.branches += 1
                self.event("bind", handler.name, handler)
                self.branches -= 1
            end = self._branch(handler.body, set(self.bound))
            ends.append(None if end is None else end - {handler.name or ""})
        self._join(ends, before)
        self.block(node.finalbody)

    visit_Try = _try
    visit_TryStar = _try


class ScopeWalker(BranchWalker):
    """Adds functions, classes and comprehensions, with names of their own."""

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        own = {a.arg for a in every} | {a.arg for a in (arguments.vararg, arguments.kwarg) if a}
        if not isinstance(node, ast.Lambda):
            for annotation in [a.annotation for a in every] + [node.returns]:
                if annotation is not None:
                    self.visit(annotation)
            declared = {n for s in ast.walk(node) if isinstance(s, (ast.Global, ast.Nonlocal)) for n in s.names}
            own |= set(bound_in(ast.Module(body=node.body, type_ignores=[]))) - declared
        self.scopes.append(own)
        self.deferred += 1
        held = set(self.bound)
        for statement in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(statement)
        self.bound = held
        self.deferred -= 1
        self.scopes.pop()

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        outer = not self.owner and not self.scopes
        if outer:
            self.owner.append(node.name)
            self.functions[node.name] = []
        self.scopes.append(_type_parameters(node))
        self._function(node)
        self.scopes.pop()
        if outer:
            self.owner.pop()
        self.event("bind", node.name, node)

    visit_FunctionDef = _definition
    visit_AsyncFunctionDef = _definition

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        outer = not self.owner and not self.scopes
        self.scopes.append(_type_parameters(node))
        for part in [*node.bases, *[k.value for k in node.keywords]]:
            self.visit(part)
        if outer:
            self.owner.append(node.name)
            self.functions[node.name] = []
        self.scopes.append(set(bound_in(ast.Module(body=node.body, type_ignores=[]))))
        self.block(node.body)
        self.scopes.pop()
        self.scopes.pop()
        if outer:
            self.owner.pop()
        self.event("bind", node.name, node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.visit(node.generators[0].iter)
        own = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        self.scopes.append(own)
        for number, generator in enumerate(node.generators):
            if number:
                self.visit(generator.iter)
            for condition in generator.ifs:
                self.visit(condition)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self.scopes.pop()

    visit_ListComp = _comprehension
    visit_SetComp = _comprehension
    visit_GeneratorExp = _comprehension
    visit_DictComp = _comprehension

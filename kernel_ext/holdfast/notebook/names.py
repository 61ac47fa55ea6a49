"""Which names a cell reads, binds, changes in place and deletes; with scopes, branches, functions, magics and shell lines."""

from __future__ import annotations

import ast
from functools import lru_cache

import msgspec

from holdfast.notebook.magics import ANY_NAME, Magic, expansions, understand
from holdfast.notebook.python import parse
from holdfast.notebook.walker import Event, EventKind, ScopeWalker, root_of

#: Methods that change what they are called on, even when their result is used.
_MUTATORS = frozenset(
    "append appendleft extend extendleft insert add update pop popleft popitem remove discard clear sort reverse setdefault"
    " write writelines put put_nowait set rotate intersection_update difference_update symmetric_difference_update"
    " push enqueue subtract move_to_end __setitem__ __delitem__ seek truncate".split()
)
#: Methods without a lasting change to what they are called on, even when their result is not used.
_PURE = frozenset(
    "get keys values items copy count index split strip join format lower upper startswith endswith replace encode decode"
    " head tail describe info plot show to_csv to_json to_string isoformat strftime total_seconds json read_text exists"
    " is_file display".split()
)
_DYNAMIC_CALLS = frozenset({"exec", "globals", "locals", "vars"})


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell does with global names."""

    events: tuple[Event, ...] = ()
    functions: dict[str, tuple[Event, ...]] = {}  # function or class -> what its body does to globals when it runs
    modules: frozenset[str] = frozenset()  # names bound to imported modules or their members
    dynamic: bool = False  # it may bind names that cannot be seen (star import, %run, exec)

    def of(self, *kinds: EventKind) -> frozenset[str]:
        """The names with an event of one of ``kinds``, function bodies left out."""
        return frozenset(e.name for e in self.events if e.kind in kinds and not e.deferred)

    @property
    def certain(self) -> frozenset[str]:
        """The names surely bound when the cell has completed."""
        return frozenset(e.name for e in self.events if e.kind == "bind" and e.certain and not e.deferred) - self.of("delete")


@lru_cache(maxsize=1024)
def names_of(source: str) -> Names:
    """Analyse a cell. A cell that is no Python has no names."""
    try:
        tree = parse(source)
    except SyntaxError:
        return Names(dynamic=True)
    visitor = _Visitor()
    try:
        visitor.block(tree.body)
    except RecursionError:  # nested deeper than Python's own stack: rather nothing than half of it
        return Names(dynamic=True)
    return Names(
        events=tuple(visitor.events),
        functions={k: tuple(v) for k, v in visitor.functions.items()},
        modules=frozenset(visitor.modules),
        dynamic=visitor.dynamic,
    )


class _Visitor(ScopeWalker):
    """Adds plain names, changes in place, calls and magics."""

    def visit_Name(self, node: ast.Name) -> None:
        kind: EventKind = "read" if isinstance(node.ctx, ast.Load) else "bind" if isinstance(node.ctx, ast.Store) else "delete"
        self.event(kind, node.id, node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._store(target)
        if isinstance(node.value, ast.Name):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id != node.value.id:
                    self.aliases[target.id] = {node.value.id} | self.aliases.get(node.value.id, set())

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._store(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        root = root_of(node.target)
        if root is not None:
            self.event("read", root.id, root)
        if isinstance(node.target, ast.Name):
            self.event("bind", node.target.id, node.target)
        else:
            self._store(node.target)

    def _store(self, target: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for element in target.elts:
                self._store(element)
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            self.visit(target)
        elif isinstance(target, ast.Starred):
            self._store(target.value)
        else:
            self.visit(target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.event("bind", node.target.id, node.target)

    def _chain(self, node: ast.Attribute | ast.Subscript) -> None:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            self.mutate(node)

    visit_Attribute = _chain
    visit_Subscript = _chain

    def visit_Global(self, node: ast.Global) -> None:
        """Nothing happens here; the names were taken from the function's own."""

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.dynamic = True
                continue
            name = (alias.asname or alias.name).split(".")[0]
            self.event("bind", name, node)
            if not self.scopes:
                self.modules.add(name)

    visit_Import = _import
    visit_ImportFrom = _import

    def _pattern(self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        self.generic_visit(node)
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name:
            self.event("bind", name, node)

    visit_MatchAs = _pattern
    visit_MatchStar = _pattern
    visit_MatchMapping = _pattern

    # -- calls and magics ----------------------------------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        self.visit(node.value)
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr not in _PURE | _MUTATORS and isinstance(call.func.value, (ast.Name, ast.Attribute, ast.Subscript)):
                self.mutate(call.func.value)

    def visit_Call(self, node: ast.Call) -> None:
        magic = understand(node)
        if magic is not None:
            self._magic(magic, node)
            return
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _DYNAMIC_CALLS and not self.scopes:
            self.dynamic = True
        if isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
            self.mutate(node.func.value)

    def _magic(self, magic: Magic, node: ast.Call) -> None:
        if magic.takes_words:
            for name, word in magic.words:
                self.event("read", name, node, soft=word)
            return
        shell = magic.shell
        text = shell[0] if shell and shell[1] else magic.line
        for expansion in expansions(text) or ():
            for name in expansion.names:
                self.event("read", name, node, soft=not expansion.braces)
        if magic.name in ANY_NAME and magic.kind != "shell":
            self.dynamic = True
        if magic.python is not None:
            self._python(*magic.python)
        for name in magic.binds:
            self.event("bind", name, node)

    def _python(self, source: str, line: int) -> None:
        try:
            tree = parse(source)
        except SyntaxError:
            return
        held, self.offset = self.offset, self.offset + line - 1
        self.block(tree.body)
        self.offset = held

"""NB503: loops that go over more than was chosen."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from holdfast.notebook.book import Book, Page
from holdfast.notebook.deeds import acts, called, deeds_of, destroys
from holdfast.notebook.finding import Finding

#: What goes over all that it is given.
_ALL = frozenset({"enumerate", "sorted", "reversed", "list", "tuple", "set", "tqdm"})


class Loops:
    """Whether a deed is done to what was filtered, and not to all."""

    codes = {"NB503": "a loop over the unfiltered list"}

    def run(self, book: Book) -> Iterable[Finding]:
        """``old = [v for v in volumes if ...]`` and then a deed over ``volumes``."""
        filtered: dict[str, tuple[str, Page]] = {}
        gone_over = _gone_over(book)
        for page in book.pages:
            for statement in page.tree.body if page.tree is not None else ():
                source = _filter_of(statement)
                if source is not None:
                    filtered[source[0]] = (source[1], page)
                for node, over, deed in _loops(statement, page):
                    if over not in filtered or filtered[over][0] in gone_over:
                        continue
                    kept, where = filtered[over]
                    message = f"'{deed}' is done for all of {over!r}, although {kept!r} was filtered from it (cell {where.cell.index})"
                    yield page.finding("NB503", "warning", node, message, f"go over {kept!r}, or remove it")


def _filter_of(statement: ast.stmt) -> tuple[str, str] | None:
    """(source, filtered) of ``filtered = [x for x in source if ...]``, ``list(filter(f, source))``, ``source[source.a > 1]``,
    ``targets(lambda: source, where=...)``, or of a loop that appends some of ``source``."""
    if isinstance(statement, ast.For):
        return _appended(statement)
    if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)):
        return None
    value, name = statement.value, statement.targets[0].id
    if isinstance(value, ast.Call) and called(value) in ("list", "sorted", "tuple") and value.args:
        value = value.args[0]
    source: ast.AST | None = None
    if isinstance(value, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)) and len(value.generators) == 1:
        source = value.generators[0].iter if value.generators[0].ifs else None
    elif isinstance(value, ast.Call) and called(value) == "filter" and len(value.args) == 2:
        source = value.args[1]
    elif isinstance(value, ast.Call) and called(value) == "targets" and value.args and any(k.arg == "where" for k in value.keywords):
        source = value.args[0].body if isinstance(value.args[0], ast.Lambda) else None
    elif isinstance(value, ast.Subscript) and isinstance(value.slice, (ast.Compare, ast.BinOp)):
        source = value.value
    return (source.id, name) if isinstance(source, ast.Name) and source.id != name else None


def _appended(loop: ast.For) -> tuple[str, str] | None:
    if not (isinstance(loop.iter, ast.Name) and len(loop.body) == 1 and isinstance(loop.body[0], ast.If)):
        return None
    for node in ast.walk(loop.body[0]):
        if called(node) in ("append", "add") and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if isinstance(node.func.value, ast.Name):
                return loop.iter.id, node.func.value.id
    return None


def _loops(statement: ast.stmt, page: Page) -> Iterator[tuple[ast.AST, str, str]]:
    """(node, name gone over, deed) of each unconditional deed over a whole list, by loop, comprehension or ``for_each``."""
    functions = {d.function: d.text for d in deeds_of(page) if d.function}
    for node in ast.walk(statement):
        over, deed = None, None
        if isinstance(node, (ast.For, ast.AsyncFor)):
            over = _whole(node.iter)
            plain = [s for s in node.body if not isinstance(s, (ast.If, ast.Match))]
            if over is not None and not any(isinstance(n, ast.Continue) for s in node.body for n in ast.walk(s)):
                deed = acts(plain, page) or next((functions[c] for s in plain for n in ast.walk(s) if (c := called(n)) in functions), None)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)) and len(node.generators) == 1 and not node.generators[0].ifs:
            over = _whole(node.generators[0].iter)
            deed = next((d for n in ast.walk(node.elt) if (d := destroys(n))), None)
        elif called(node) == "for_each" and isinstance(node, ast.Call) and len(node.args) > 1:
            over, function = _whole(node.args[0]), node.args[1]
            if isinstance(function, ast.Name):
                deed = function.id
            elif isinstance(function, ast.Lambda):
                deed = next((d for n in ast.walk(function.body) if (d := destroys(n))), None)
        if over is not None and deed is not None:
            yield node, over, deed


def _whole(node: ast.expr) -> str | None:
    """The name of the list of which all are gone over."""
    if isinstance(node, ast.Call) and called(node) in _ALL and node.args:
        return _whole(node.args[0])
    return node.id if isinstance(node, ast.Name) else None


def _gone_over(book: Book) -> set[str]:
    """The names that are gone over somewhere."""
    found: set[str] = set()
    for page in book.pages:
        for node in page.walk():
            if isinstance(node, (ast.For, ast.AsyncFor)):
                found |= {n.id for n in ast.walk(node.iter) if isinstance(n, ast.Name)}
            elif called(node) in ("for_each", "map", "delete", "submit") and isinstance(node, ast.Call):
                found |= {n.id for a in node.args for n in ast.walk(a) if isinstance(n, ast.Name)}
    return found

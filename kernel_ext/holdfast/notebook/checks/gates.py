"""NB5xx: questions to people, and deeds that ask nobody."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from holdfast.model.guardrail import Limits
from holdfast.model.policy import Policy
from holdfast.notebook.book import Book, Page
from holdfast.notebook.deeds import Deed, acts, called, deeds_of, destroys, is_gate, only_aborts
from holdfast.notebook.finding import Finding
from holdfast.notebook.metadata import runbook_metadata

_REFUSALS = frozenset(
    "no n nope abort cancel cancelled stop decline declined reject rejected deny denied refuse refused skip leave false never".split()
)
_CONSENTS = frozenset("yes y ok okay approve approved go proceed continue accept accepted true sure confirm confirmed".split())


class Gates:
    """Whether what a person answers is acted upon, in the right sense, and before the deed."""

    codes = {
        "NB501": "a gate with an inverted condition",
        "NB502": "an answer that nobody looks at",
        "NB503": "a loop over the unfiltered list",
        "NB504": "a deed that destroys, without a gate",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Look at every condition on an answer, every loop and every deed."""
        answers = _answers(book)
        for page in book.pages:
            for node in page.walk():
                if isinstance(node, ast.If):
                    yield from self._condition(page, node, answers)
        yield from self._ignored(book)
        yield from self._unfiltered(book)
        yield from self._ungated(book)

    def _condition(self, page: Page, node: ast.If, answers: dict[str, str]) -> Iterable[Finding]:
        sense = _sense(node.test, answers)
        if sense is None:
            return
        yes, no = (node.body, node.orelse) if sense else (node.orelse, node.body)
        deed = next((d for s in no for n in ast.walk(s) if (d := destroys(n))), None) or _destroying_shell(page, no)
        if deed is None and yes and only_aborts(yes):
            deed = acts(no, page)
        if deed is None and sense and not node.orelse and _ends(node.body):
            deed = next((d.text for d in deeds_of(page) if d.line > (node.end_lineno or node.lineno)), None)
        if deed is not None:
            message = f"'{deed}' happens when the person says no: the condition is inverted"
            yield page.finding("NB501", "error", node, message, "turn the condition round")

    def _ignored(self, book: Book) -> Iterable[Finding]:
        read = {e.name for p in book.pages for e in p.names.events if e.kind == "read"}
        read |= {n.id for s in book.manifest.steps if s.policy.when for n in _names_in(s.policy.when)}
        for page in book.pages:
            for node in page.walk():
                if isinstance(node, ast.Expr) and is_gate(node.value) and called(node.value) in ("ask", "form", "input"):
                    message = f"the answer to {called(node.value)}() is thrown away: whatever the person says, the same happens"
                    yield page.finding("NB502", "warning", node, message, "keep it in a name and act on it, or use confirm()")
                elif isinstance(node, ast.Assign) and is_gate(node.value) and all(isinstance(t, ast.Name) for t in node.targets):
                    names = [t.id for t in node.targets if isinstance(t, ast.Name)]
                    local = {n.id for n in page.walk() if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
                    if not set(names) & (read | local):
                        message = f"the answer kept in {names[0]!r} is never looked at: whatever the person says, the same happens"
                        yield page.finding("NB502", "warning", node, message, f"act on {names[0]!r}")

    def _unfiltered(self, book: Book) -> Iterable[Finding]:
        """``old = [v for v in volumes if ...]`` and then a deed over ``volumes``."""
        filtered: dict[str, tuple[str, Page]] = {}
        for page in book.pages:
            for statement in page.tree.body if page.tree is not None else ():
                source = _filter_of(statement)
                if source is not None:
                    filtered[source[0]] = (source[1], page)
                for node, over, deed in _loops(statement, page):
                    if over not in filtered or filtered[over][0] in _iterated(book):
                        continue
                    kept, where = filtered[over]
                    message = f"'{deed}' is done for all of {over!r}, although {kept!r} was filtered from it (cell {where.cell.index})"
                    yield page.finding("NB503", "warning", node, message, f"go over {kept!r}, or remove it")

    def _ungated(self, book: Book) -> Iterable[Finding]:
        limits = runbook_metadata(book.notebook.metadata.get("holdfast"))[0].limits
        inside: dict[str, Deed] = {}
        for page in book.pages:
            inside |= {d.function: d for d in deeds_of(page) if d.function}
        for name, body in ((n, b) for p in book.pages for n, b in p.names.functions.items()):
            for event in body:  # a function that calls one which destroys
                if event.kind == "read" and event.name in inside and name not in inside:
                    inside[name] = inside[event.name]
        for page in book.pages:
            step = book.step_of(page)
            if step is None or step.teardown_of is not None or step.policy.approval or _capped(step.policy) or _capped(limits):
                continue
            uses = [(d.text, d.line, d.column) for d in deeds_of(page) if d.function is None]
            uses += [
                (inside[e.name].text, e.line, e.column)
                for e in page.names.events
                if e.kind == "read" and e.name in inside and not e.deferred
            ]
            if not uses or any(_has_gate(p, None) for p in book.before(page)):
                continue
            told: set[str] = set()
            for text, line, column in sorted(uses, key=lambda u: u[1]):
                if text in told or _has_gate(page, line) or _under_dry_run(page, line):
                    continue
                told.add(text)
                cure = "ask before it with confirm(...), or cap it with max_effects or max_percent in metadata.holdfast"
                yield page.finding("NB504", "warning", line, f"'{text}' asks nobody first", cure, column=column)


def _answers(book: Book) -> dict[str, str]:
    """Name -> the gate whose answer it holds."""
    found: dict[str, str] = {}
    for page in book.pages:
        for node in page.walk():
            value = node.value if isinstance(node, (ast.Assign, ast.NamedExpr)) else None
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.NamedExpr) else []
            if value is not None and is_gate(value):
                found |= {t.id: called(value) or "" for t in targets if isinstance(t, ast.Name)}
    return found


def _sense(test: ast.expr, answers: dict[str, str]) -> bool | None:
    """True when ``test`` holds on consent, False when it holds on refusal, None when it is no question of that kind."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _sense(test.operand, answers)
        return None if inner is None else not inner
    if isinstance(test, ast.NamedExpr):
        return _sense(test.value, answers)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and _asked(test.left, answers):
        word = _word(test.comparators[0])
        if word is None:
            return None
        if isinstance(test.ops[0], (ast.NotEq, ast.IsNot, ast.NotIn)):
            return not word
        return word if isinstance(test.ops[0], (ast.Eq, ast.Is, ast.In)) else None
    if isinstance(test, (ast.Call, ast.Name, ast.Attribute, ast.Subscript)):
        gate = _asked(test, answers)
        return True if gate in ("confirm", "approve") else None
    return None


def _asked(node: ast.expr, answers: dict[str, str]) -> str | None:
    """The gate behind an expression: the call itself, a name that holds its answer, ``.lower()`` or ``["approved"]`` of it."""
    if is_gate(node):
        return called(node)
    if isinstance(node, ast.Name):
        return answers.get(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("lower", "strip", "upper", "casefold"):
        return _asked(node.func.value, answers)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and str(node.slice.value).lower() in _CONSENTS:
        return "confirm" if _asked(node.value, answers) else None
    if isinstance(node, ast.Attribute) and node.attr.lower() in _CONSENTS:
        return "confirm" if _asked(node.value, answers) else None
    return None


def _word(node: ast.expr) -> bool | None:
    """Whether a literal means consent (True) or refusal (False)."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        words = {_word(e) for e in node.elts}
        return words.pop() if len(words) == 1 else None
    if not isinstance(node, ast.Constant):
        return None
    if isinstance(node.value, bool):
        return node.value
    if isinstance(node.value, str):
        word = node.value.strip().lower()
        return True if word in _CONSENTS else False if word in _REFUSALS else None
    return None


def _destroying_shell(page: Page, body: list[ast.stmt]) -> str | None:
    from holdfast.notebook.deeds import destroying_commands

    inside = {id(n) for s in body for n in ast.walk(s)}
    return next((t for s in page.shells if id(s.node) in inside for t, _ in destroying_commands(s)), None)


def _ends(body: list[ast.stmt]) -> bool:
    last = body[-1]
    return isinstance(last, ast.Raise) or (isinstance(last, ast.Expr) and called(last.value) in ("exit", "quit"))


def _names_in(expression: str) -> Iterator[ast.Name]:
    try:
        yield from (n for n in ast.walk(ast.parse(expression.strip(), mode="eval")) if isinstance(n, ast.Name))
    except (SyntaxError, ValueError):
        return


def _filter_of(statement: ast.stmt) -> tuple[str, str] | None:
    """(source, filtered) of ``filtered = [x for x in source if ...]``, ``list(filter(f, source))`` or ``source[source.a > 1]``."""
    if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)):
        return None
    value, name = statement.value, statement.targets[0].id
    if isinstance(value, ast.Call) and called(value) in ("list", "sorted", "tuple") and value.args:
        value = value.args[0]
    source: ast.AST | None = None
    if isinstance(value, (ast.ListComp, ast.SetComp, ast.GeneratorExp)) and len(value.generators) == 1 and value.generators[0].ifs:
        source = value.generators[0].iter
    elif isinstance(value, ast.Call) and called(value) == "filter" and len(value.args) == 2:
        source = value.args[1]
    elif isinstance(value, ast.Subscript) and isinstance(value.slice, (ast.Compare, ast.BinOp)):
        source = value.value
    return (source.id, name) if isinstance(source, ast.Name) and source.id != name else None


def _loops(statement: ast.stmt, page: Page) -> Iterator[tuple[ast.AST, str, str]]:
    """(node, name gone over, deed) of each unconditional deed over a whole list, by loop or by ``for_each``."""
    functions = {d.function: d.text for d in deeds_of(page) if d.function}
    for node in ast.walk(statement):
        if isinstance(node, (ast.For, ast.AsyncFor)) and isinstance(node.iter, ast.Name):
            plain = [s for s in node.body if not isinstance(s, (ast.If, ast.Match))]
            chooses = any(isinstance(n, ast.Continue) for s in node.body for n in ast.walk(s))
            deed = None if chooses else acts(plain, page)
            if deed is None and not chooses:
                deed = next((functions[c] for s in plain for n in ast.walk(s) if (c := called(n)) in functions), None)
            if deed is not None:
                yield node, node.iter.id, deed
        elif called(node) == "for_each" and isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[0], ast.Name):
            function = node.args[1]
            if isinstance(function, ast.Name):
                yield node, node.args[0].id, function.id


def _iterated(book: Book) -> set[str]:
    """The names that are gone over somewhere."""
    found: set[str] = set()
    for page in book.pages:
        for node in page.walk():
            if isinstance(node, (ast.For, ast.AsyncFor)):
                found |= {n.id for n in ast.walk(node.iter) if isinstance(n, ast.Name)}
            elif called(node) in ("for_each", "map", "delete", "submit") and isinstance(node, ast.Call):
                found |= {n.id for a in node.args for n in ast.walk(a) if isinstance(n, ast.Name)}
    return found


def _capped(of: Policy | Limits) -> bool:
    """Whether a number or a share of changes is all there can be."""
    return (of.max_effects, of.max_targets, of.max_percent) != (None, None, None)


def _has_gate(page: Page, until: int | None) -> bool:
    """Whether the cell asks (at or above a line)."""
    return any(is_gate(node) and (until is None or getattr(node, "lineno", 0) <= until) for node in page.walk())


def _under_dry_run(page: Page, line: int) -> bool:
    """Whether the line stands under a condition on a dry run, which the person who starts the execution chose."""
    for node in page.walk():
        if isinstance(node, ast.If) and node.lineno <= line <= (node.end_lineno or node.lineno):
            if any(isinstance(n, ast.Name) and "dry" in n.id.lower() for n in ast.walk(node.test)):
                return True
    return False

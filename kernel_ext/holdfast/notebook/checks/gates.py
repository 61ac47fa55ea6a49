"""NB5xx: questions to people, and deeds that ask nobody."""

from __future__ import annotations

import ast
import re
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
_CONSENTS = frozenset("yes y ok okay approve approved go proceed continue accept accepted true sure confirm confirmed approved_by".split())
_KEEPING = re.compile(
    r"(do you want to |shall (we|i) |should (we|i) |may (we|i) )?(keep|leave|spare|retain|preserve|skip|abort|cancel|stop here)\b"
)


class Gates:
    """Whether what a person answers is acted upon, in the right sense, and before the deed."""

    codes = {
        "NB501": "a gate with an inverted condition",
        "NB502": "an answer that nobody looks at",
        "NB504": "a deed that destroys, without a gate",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Look at every condition on an answer and every deed."""
        answers, inside = _answers(book), _destroyers(book)
        for page in book.pages:
            for node in page.walk():
                for test, yes, no in _branches(node, answers):
                    yield from self._condition(page, node, (test, yes, no), inside)
            step = book.step_of(page)
            if step is not None and step.policy.when and _sense(_parsed(step.policy.when), answers) is False:
                for deed in deeds_of(page)[:1]:
                    message = f"'{deed.text}' happens when the person says no: the step's `when` is inverted"
                    yield page.finding("NB501", "error", deed.line, message, "turn the condition round")
        yield from self._ignored(book)
        yield from self._ungated(book)

    def _condition(self, page: Page, node: ast.AST, branch: Branch, inside: dict[str, Deed]) -> Iterable[Finding]:
        consent, yes, no = branch
        calls = (inside[c] for s in no for n in ast.walk(s) if (c := called(n)) in inside)
        deed = next((d for s in no for n in ast.walk(s) if (d := destroys(n))), None) or _destroying_shell(page, no)
        deed = deed or next((d.text for d in calls), None)
        if deed is None and yes and only_aborts(yes):
            deed = acts(no, page)
        if deed is None and consent and isinstance(node, ast.If) and not node.orelse:
            until = _ends(page, node)
            deed = next((d.text for d in deeds_of(page) if (node.end_lineno or 0) < d.line <= until), None)
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

    def _ungated(self, book: Book) -> Iterable[Finding]:
        limits = runbook_metadata(book.notebook.metadata.get("holdfast"))[0].limits
        inside = _destroyers(book)
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


#: Whether a block is for consent, or its other one is; what is done on a yes, and on a no.
Branch = tuple[bool, list[ast.stmt], list[ast.stmt]]


def _branches(node: ast.AST, answers: dict[str, str]) -> Iterator[Branch]:
    """What a node does on a person's yes and no: ``if``, ``while``, ``match``, ``x if y else z``, ``y and x``."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        sense = _sense(node.test, answers)
        if sense is None:
            return
        then, other = _block(node.body), _block(node.orelse)
        yield sense, *((then, other) if sense else (other, then))
    elif isinstance(node, ast.BoolOp) and len(node.values) > 1:
        sense = _sense(node.values[0], answers)
        if sense is None:
            return
        rest = [statement for value in node.values[1:] for statement in _block(value)]
        happy = sense is isinstance(node.op, ast.And)  # whether the rest is done on a yes
        yield True, *((rest, []) if happy else ([], rest))
    elif isinstance(node, ast.Match) and _asked(node.subject, answers):
        for case in node.cases:
            words = [p.value for p in ast.walk(case.pattern) if isinstance(p, ast.MatchValue)]
            if words and all(_word(word) is False for word in words):
                yield False, [], case.body


def _block(way: list[ast.stmt] | ast.expr) -> list[ast.stmt]:
    return [ast.copy_location(ast.Expr(way), way)] if isinstance(way, ast.expr) else way


def _destroyers(book: Book) -> dict[str, Deed]:
    """The functions that destroy, by themselves or by what they call."""
    inside: dict[str, Deed] = {}
    for page in book.pages:
        inside |= {d.function: d for d in deeds_of(page) if d.function}
    for name, body in ((n, b) for p in book.pages for n, b in p.names.functions.items()):
        for event in body:  # a function that calls one which destroys
            if event.kind == "read" and event.name in inside and name not in inside:
                inside[name] = inside[event.name]
    return inside


def _answers(book: Book) -> dict[str, str]:
    """Name -> the gate whose answer it holds. A no to "keep it?" is none of those that count here."""
    found: dict[str, str] = {}
    for page in book.pages:
        for node in page.walk():
            value = node.value if isinstance(node, (ast.Assign, ast.NamedExpr)) else None
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.NamedExpr) else []
            gates = [value] if not isinstance(value, ast.IfExp) else [value.body, value.orelse]
            gate = next((g for g in gates if g is not None and is_gate(g)), None)
            if gate is not None and not _about_keeping(gate):
                found |= {t.id: called(gate) or "" for t in targets if isinstance(t, ast.Name)}
    return found


def _about_keeping(gate: ast.expr) -> bool:
    """Whether a yes means that nothing is done."""
    texts = [n.value for n in ast.walk(gate) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return bool(texts) and _KEEPING.match(texts[0].strip().lower()) is not None


def _sense(test: ast.expr | None, answers: dict[str, str]) -> bool | None:
    """True when ``test`` holds on consent, False when it holds on refusal, None when it is no question of that kind."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _sense(test.operand, answers)
        return None if inner is None else not inner
    if isinstance(test, ast.NamedExpr):
        return _sense(test.value, answers)
    if isinstance(test, ast.BoolOp):
        senses = {s for value in test.values if (s := _sense(value, answers)) is not None}
        return senses.pop() if len(senses) == 1 else None
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, right = test.left, test.comparators[0]
        if isinstance(left, ast.Constant) and isinstance(test.ops[0], (ast.Eq, ast.NotEq)):
            left, right = right, left
        word = _word(right) if _asked(left, answers) else None
        if word is None:
            return None
        if isinstance(test.ops[0], (ast.NotEq, ast.IsNot, ast.NotIn)):
            return not word
        return word if isinstance(test.ops[0], (ast.Eq, ast.Is, ast.In)) else None
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.func.attr == "startswith" and test.args:
        return _word(test.args[0]) if _asked(test.func.value, answers) else None
    if isinstance(test, (ast.Call, ast.Name, ast.Attribute, ast.Subscript)):
        gate = _asked(test, answers)
        return True if gate in ("confirm", "approve") else None
    return None


def _asked(node: ast.expr, answers: dict[str, str]) -> str | None:
    """The gate behind an expression: the call itself, a name that holds its answer, ``.lower()`` or ``["approved"]`` of it."""
    if is_gate(node):
        return None if _about_keeping(node) else called(node)
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


def _ends(page: Page, node: ast.If) -> int:
    """The last line that is not come to when the block of ``node`` is gone through; 0 when the block does not end anything."""
    last = node.body[-1]
    if isinstance(last, ast.Return):
        around = [n for n in page.walk() if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and last in ast.walk(n)]
        return max((n.end_lineno or 0 for n in around), default=0)
    ends = isinstance(last, ast.Raise) or (isinstance(last, ast.Expr) and called(last.value) in ("exit", "quit"))
    return 1 << 30 if ends else 0


def _names_in(expression: str) -> Iterator[ast.Name]:
    parsed = _parsed(expression)
    yield from (n for n in (ast.walk(parsed) if parsed is not None else ()) if isinstance(n, ast.Name))


def _parsed(expression: str) -> ast.expr | None:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


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

"""NB2xx: names that are never there, not yet there, or there only on another branch."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable

from holdfast.notebook.book import Book, Page
from holdfast.notebook.finding import Finding
from holdfast.notebook.magics import expression_names
from holdfast.notebook.metadata import near
from holdfast.notebook.walker import Event

_ALWAYS = frozenset(dir(builtins)) | {
    "get_ipython", "display", "In", "Out", "exit", "quit", "_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh", "_exit_code",
    "__name__", "__doc__", "__file__", "__builtins__", "__builtin__", "__session__", "__class__", "__vsc_ipynb_file__", "pm",
}  # fmt: skip
#: Holdfast's own verbs: what is missing is their import.
_HOLDFAST = frozenset("confirm ask form approve wait wait_for now signal run_runbook publish call for_each secret idempotency_key".split())


class NamesCheck:
    """Follows every name from its uses to where it is bound."""

    codes = {
        "NB201": "a name that is never defined",
        "NB202": "a name that is only defined later",
        "NB203": "a name that is only defined on another branch",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Report each name once per cell."""
        if any(p.names.dynamic for p in book.pages) or book.notebook.language != "python":
            sure = False
        else:
            sure = True
        binders: dict[str, list[Page]] = {}
        for page in book.pages:
            for event in page.names.events:
                if event.kind == "bind":
                    binders.setdefault(event.name, []).append(page)
        given = {p.name for p in book.manifest.parameters}
        for page in book.pages:
            told: set[str] = set()
            before = {p.cell.id for p in book.before(page)}
            dynamic = any(p.names.dynamic for p in book.pages if p.cell.id in before or p is page)
            for event in page.names.events:
                name = event.name
                if name in told or name in _ALWAYS or name in given or event.kind not in ("read", "delete", "mutate"):
                    continue
                if event.bound or not (sure or not dynamic):
                    continue
                finding = _judge(book, page, event, binders, before)
                if finding is not None:
                    told.add(name)
                    yield finding
        yield from self._conditions(book, binders, given)

    def _conditions(self, book: Book, binders: dict[str, list[Page]], given: set[str]) -> Iterable[Finding]:
        for step in book.manifest.steps:
            page = next((p for p in book.pages if step.cells and p.cell.id == step.cells[0].id), None)
            if step.policy.when is None or page is None:
                continue
            before = {p.cell.id for p in book.before(page)}
            for name in dict.fromkeys(expression_names(step.policy.when) or ()):
                if name in _ALWAYS or name in given or any(p.cell.id in before for p in binders.get(name, ())):
                    continue
                message = f"'when' of step {step.name!r} reads {name!r}, which no step before it defines"
                cure = near(name, set(binders) | given) or "define it in a step before"
                yield page.finding("NB201", "error", None, message, cure)


def _judge(book: Book, page: Page, event: Event, binders: dict[str, list[Page]], before: set[str]) -> Finding | None:
    name, found = event.name, binders.get(event.name, [])
    if not found:
        if event.soft:
            return None  # `$x` may be the shell's own
        like = near(name, set(binders))
        cure = like if like.startswith("did you mean") else "define it in a cell before, or correct the name"
        if name in _HOLDFAST:
            cure = f"from holdfast import {name}"
        return page.finding("NB201", "error", event.line, f"{name!r} is never defined", cure, column=event.column)
    if any(p.cell.id in before for p in found):
        return None
    if any(p is page for p in found):
        events = page.names.events
        own = [e for e in events if e.name == name and e.kind == "bind"]
        earlier = any(e is o for e in events[: _position(events, event)] for o in own)
        if event.deferred or earlier or any(e.deferred for e in own) or _in_loop(page, event, own):
            return None
    elif event.deferred and not _called_in(page, event):
        return None  # a function may name what a later cell defines, as long as it is called after that
    place = found[0]
    if event.soft:
        return None
    if page.step and place.step and place.step != page.step and page.step not in book.manifest.ancestors(place.step):
        if place.cell.index < page.cell.index:
            message = f"{name!r} is defined only in step {place.step!r}, which step {page.step!r} does not wait for"
            return page.finding("NB203", "error", event.line, message, f"add {place.step!r} to 'after'", column=event.column)
    if place.cell.index < page.cell.index:
        return None
    where = (
        f"cell {place.cell.index}"
        if place is not page
        else f"line {min(e.line for e in page.names.events if e.name == name and e.kind == 'bind')}"
    )
    message = f"{name!r} is used here but defined only later, in {where}"
    return page.finding("NB202", "error", event.line, message, "move the definition above its use", column=event.column)


def _position(events: tuple[Event, ...], event: Event) -> int:
    """Where in the order of running the event stands."""
    return next(n for n, e in enumerate(events) if e is event)


def _called_in(page: Page, event: Event) -> bool:
    """Whether a function that uses the name is called in the very cell that defines it."""
    reads = page.names.of("read")
    return any(event in events and function in reads for function, events in page.names.functions.items())


def _in_loop(page: Page, event: Event, own: list[Event]) -> bool:
    """Whether use and binding stand in one loop: then an earlier round may have bound it. Guarded by try counts the same."""
    for node in page.walk():
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While, ast.Try)):
            last = getattr(node, "end_lineno", None) or node.lineno
            if node.lineno <= event.line <= last and any(node.lineno <= e.line <= last for e in own):
                return not isinstance(node, (ast.For, ast.AsyncFor, ast.While)) or _conditional(node, event)
    return False


def _conditional(loop: ast.AST, event: Event) -> bool:
    """Whether the use stands under a condition inside the loop; at the top of the body the first round would fail."""
    for node in ast.walk(loop):
        if isinstance(node, (ast.If, ast.IfExp, ast.Try, ast.BoolOp)) and node.lineno <= event.line <= (node.end_lineno or node.lineno):
            return True
    return False

"""NB0xx and NB1xx: syntax, steps, order, metadata, parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from holdfast.notebook.book import Book, Page
from holdfast.notebook.dataflow import races
from holdfast.notebook.finding import Finding
from holdfast.notebook.python import parse, to_python


class Structure:
    """What the compiler found, and what only a look at the code shows."""

    codes = {
        "NB001": "a cell is not valid Python",
        "NB101": "two steps have one name",
        "NB102": "a name that is no step",
        "NB103": "steps that wait for each other",
        "NB104": "a step that can never run",
        "NB105": "bad metadata",
        "NB106": "a tag or directive that means nothing",
        "NB107": "a name that cannot be used",
        "NB108": "a policy where it has no effect",
        "NB109": "a second parameters cell",
        "NB110": "a notebook of another language",
        "NB111": "a bad parameters cell",
        "NB112": "a bad condition",
        "NB113": "parallel branches write one name",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Report all of them."""
        yield from book.compiled
        if book.notebook.language != "python":
            return
        for page in book.pages:
            yield from self._syntax(page)
        yield from self._conditions(book)
        yield from self._never(book)
        for first, second, names in races(book.manifest):
            step = book.manifest.step(second)
            head = next((p for p in book.pages if step and p.cell.id == step.cells[0].id), None)
            if head is not None:
                listed = ", ".join(names)
                message = f"the steps {first!r} and {second!r} may run at the same time and both write {listed}"
                yield head.finding("NB113", "warning", None, message, "let one wait for the other with 'after', or use two names")

    def _syntax(self, page: Page) -> Iterable[Finding]:
        try:
            parse(page.cell.source)
        except SyntaxError as error:
            text = (error.text or "").strip()
            shown = f": {text[:60]}" if text else ""
            cure = "mend it; a shell line starts with !"
            yield page.finding("NB001", "error", error.lineno or 1, f"not valid Python ({error.msg}){shown}", cure, column=error.offset)
            return
        for magic in page.magics:
            if magic.python is None:
                continue
            source, line = magic.python
            try:
                compile(to_python(source), "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            except SyntaxError as error:
                at = line + (error.lineno or 1) - 1
                yield page.finding("NB001", "error", at, f"not valid Python ({error.msg})", "mend it", column=error.offset)

    def _conditions(self, book: Book) -> Iterable[Finding]:
        for step in book.manifest.steps:
            when = step.policy.when
            page = next((p for p in book.pages if step.cells and p.cell.id == step.cells[0].id), None)
            if when is None or page is None:
                continue
            try:
                tree = ast.parse(when.strip(), mode="eval")
            except (SyntaxError, ValueError) as error:
                reason = error.msg if isinstance(error, SyntaxError) else str(error)
                message = f"'when' of step {step.name!r} is no Python expression ({reason}): {when}"
                yield page.finding("NB112", "error", None, message, "write an expression over the names of earlier steps")
                continue
            if isinstance(tree.body, ast.Constant):
                if not tree.body.value:
                    message = f"step {step.name!r} can never run: its 'when' is always {tree.body.value!r}"
                    yield page.finding("NB104", "warning", None, message, "mend the condition, or tag the step 'skip'")
                elif isinstance(tree.body.value, str):
                    message = f"'when' of step {step.name!r} is a text, which is always true: {when}"
                    yield page.finding("NB112", "warning", None, message, "take the quotes off")

    def _never(self, book: Book) -> Iterable[Finding]:
        """Steps behind a cell that always raises or exits."""
        enders: dict[str, Page] = {}
        for page in book.pages:
            if page.step and page.tree is not None and _always_ends(page.tree.body):
                enders.setdefault(page.step, page)
        for page in book.pages:
            step = book.step_of(page)
            if step is None or page.cell.id != step.cells[0].id or step.teardown_of is not None or step.always:
                continue
            ender = next((enders[a] for a in book.manifest.ancestors(step.name) if a in enders), None)
            if ender is not None and (above := book.step_of(ender)) and above.policy.on_failure == "suspend":
                message = f"step {step.name!r} can never run: step {above.name!r} (cell {ender.cell.index}) always raises"
                yield page.finding("NB104", "warning", None, message, "raise under a condition, or take the step out")


def _always_ends(body: list[ast.stmt]) -> bool:
    for statement in body:
        if isinstance(statement, ast.Raise):
            return True
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            called = ast.unparse(statement.value.func)
            if called in ("sys.exit", "exit", "quit", "os._exit"):
                return True
    return False

"""NB507 to NB509: guardrails that are missing, or that will refuse what the runbook does."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from holdfast.notebook.book import Book, Page
from holdfast.notebook.deeds import called, deeds_of, is_gate
from holdfast.notebook.finding import Finding
from holdfast.notebook.metadata import runbook_metadata

_CONSENT = frozenset({"confirm", "approve"})


class GuardrailsCheck:
    """What would be refused when the runbook runs is said before."""

    codes = {
        "NB507": "a scheduled runbook that destroys without consent",
        "NB508": "a step that says it reads, and destroys",
        "NB509": "a share of a number nobody knows",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Look at every deed that destroys, and at every share."""
        about, _ = runbook_metadata(book.notebook.metadata.get("holdfast"))
        chosen = any(called(node) == "targets" for page in book.pages for node in page.walk())
        if about.limits.max_percent is not None and not chosen and book.pages:
            yield _share(book.pages[0], "limits.max_percent")
        for page in book.pages:
            step = book.step_of(page)
            if step is None:
                continue
            first = step.cells[0].id == page.cell.id
            if first and step.policy.max_percent is not None and not chosen:
                yield _share(page, "max_percent")
            for deed in deeds_of(page):
                if deed.function is not None:
                    continue
                if step.policy.effects == "read":
                    message = f"'{deed.text}' destroys, and the step says 'effects: read': it will be refused (HF809)"
                    yield page.finding("NB508", "error", deed.line, message, "say what it does: effects: destructive", column=deed.column)
                if about.schedules and step.teardown_of is None and not _consented(book, page, deed.line):
                    message = f"'{deed.text}' destroys, a schedule starts it, and nobody is asked: it will be refused (HF805)"
                    cure = "ask before it with confirm(...) or approve(...), with target and count; a cap is no consent"
                    yield page.finding("NB507", "warning", deed.line, message, cure, column=deed.column)


def _share(page: Page, name: str) -> Finding:
    message = f"'{name}' is a share of the target set, and nothing is chosen with targets(...): changes will be refused (HF810)"
    return page.finding(
        "NB509", "warning", 1, message, "choose with targets(...) and go over what it returns, or cap by number: max_targets"
    )


def _consented(book: Book, page: Page, line: int) -> bool:
    """Whether a person has said yes by then: in a step before, or above it in the cell."""
    if any(_asks(node) for other in book.before(page) for node in other.walk()):
        return True
    return any(_asks(node) and getattr(node, "lineno", 0) <= line for node in page.walk())


def _asks(node: ast.AST) -> bool:
    return is_gate(node) and called(node) in _CONSENT

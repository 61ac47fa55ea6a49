"""NB505, NB506: questions to people that consent by themselves, or that people cannot tell apart."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from holdfast.notebook.book import Book, Page
from holdfast.notebook.deeds import called, is_gate
from holdfast.notebook.finding import Finding

_ASKING = frozenset({"confirm", "ask", "form", "approve"})
#: As ``holdfast.prompts.questions`` has them, which refuses the same when the question is asked.
_CONSENTS = frozenset(
    "yes y yep yeah ok okay approve approved go proceed continue accept accepted true sure confirm confirmed agree".split()
)


class Questions:
    """What can be seen of a question before it is asked."""

    codes = {
        "NB505": "a question that consents when nobody answers",
        "NB506": "the same question in every round of a loop",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Look at every question."""
        for page in book.pages:
            for node in page.walk():
                if isinstance(node, ast.Call) and is_gate(node) and called(node) in _ASKING:
                    yield from self._silence(page, node)
                if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
                    yield from self._rounds(page, node)

    def _silence(self, page: Page, node: ast.Call) -> Iterable[Finding]:
        for keyword in node.keywords:
            if keyword.arg == "on_timeout" and _consents(keyword.value):
                message = f"when nobody answers, {ast.unparse(keyword.value)} stands for an answer: that is consent nobody gave"
                yield page.finding("NB505", "error", node, message, 'use on_timeout="fail", or an answer that lets nothing happen')

    def _rounds(self, page: Page, loop: ast.For | ast.AsyncFor | ast.While) -> Iterable[Finding]:
        for node in (n for s in loop.body for n in ast.walk(s)):
            if not (isinstance(node, ast.Call) and is_gate(node) and called(node) in _ASKING) or _varies(node):
                continue
            message = f"{called(node)}() asks the same in every round: people cannot tell for which round they answer"
            yield page.finding("NB506", "warning", node, message, "put into the text what the round is about, or ask once before the loop")


def _consents(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = node.value.replace("-", " ").replace(",", " ").split()
        return bool(words) and words[0].lower().strip(".!") in _CONSENTS
    if isinstance(node, ast.Constant):
        return node.value is True
    if isinstance(node, ast.Dict):
        return any(_consents(value) for value in node.values)
    return isinstance(node, (ast.List, ast.Tuple)) and any(_consents(item) for item in node.elts)


def _varies(node: ast.Call) -> bool:
    """Whether the text, or the target it is shown with, is more than a constant."""
    shown = [*node.args[:1], *(k.value for k in node.keywords if k.arg in ("text", "target", "command"))]
    if isinstance(node.func, ast.Attribute) and node.func.attr == "run_line_magic":
        return any(isinstance(a, ast.Constant) and ("{" in str(a.value) or "$" in str(a.value)) for a in node.args)
    return any(not isinstance(part, ast.Constant) for part in shown)

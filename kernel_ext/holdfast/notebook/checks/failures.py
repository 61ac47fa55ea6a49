"""NB3xx: failures that are hidden, so that the runbook goes on as if all were well."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from holdfast.model.call import Effect
from holdfast.notebook.book import Book, Page
from holdfast.notebook.commands import classify
from holdfast.notebook.deeds import called, command_words
from holdfast.notebook.finding import Finding

_BROAD = frozenset({"Exception", "BaseException"})
_TELLING = frozenset({"print", "display", "debug", "info", "log", "warning", "warn", "error", "exception", "append", "write"})


class Failures:
    """A failure must raise: only then is it retried, recorded and shown to a person."""

    codes = {
        "NB301": "a swallowed exception hides a failure",
        "NB302": "an error is returned as data",
        "NB303": "an exit status nobody looks at",
        "NB304": "a failed command goes unnoticed",
        "NB305": "a script that goes on after a failed command",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Look at every handler, shell line and subprocess."""
        for page in book.pages:
            for node in page.walk():
                if isinstance(node, (ast.Try, ast.TryStar)):
                    for handler in node.handlers:
                        yield from self._handler(page, node, handler)
                if isinstance(node, ast.Expr):
                    yield from self._subprocess(page, node)
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("contextlib.suppress", "suppress") and _broad_arguments(node):
                    cure = "name the one exception that may pass, or let it raise"
                    yield page.finding("NB301", "warning", node, "every exception is suppressed here: a failure looks like success", cure)
            yield from self._shell(book, page)

    def _handler(self, page: Page, block: ast.Try | ast.TryStar, handler: ast.ExceptHandler) -> Iterable[Finding]:
        body, broad = handler.body, _broad(handler)
        if not _risky(block.body) or any(isinstance(n, ast.Raise) for s in body for n in ast.walk(s)):
            return
        what = "every exception" if handler.type is None else f"'except {ast.unparse(handler.type)}'"
        told = next(
            (s for s in body if isinstance(s, (ast.Return, ast.Assign)) and s.value is not None and _is_told(s, handler, broad)), None
        )
        if told is not None:
            message = f"{what} is turned into a value: the step succeeds although it failed"
            yield page.finding("NB302", "warning", told, message, "let it raise: it is then retried, recorded and shown to a person")
        elif broad and all(_passive(s) for s in body):
            cure = "name the one exception that may pass, or let it raise: it is then retried, recorded and shown to a person"
            yield page.finding("NB301", "warning", handler, f"{what} is swallowed here: a failure looks like success", cure)

    def _subprocess(self, page: Page, node: ast.Expr) -> Iterable[Finding]:
        call = node.value
        if not isinstance(call, ast.Call):
            return
        name = ast.unparse(call.func) if isinstance(call.func, (ast.Attribute, ast.Name)) else ""
        words = command_words(call)
        if words is not None and classify(words) is Effect.READ:
            return
        if name == "subprocess.run" and not any(k.arg == "check" or k.arg is None for k in call.keywords):
            yield page.finding("NB304", "warning", call, "nobody sees when this command fails", "add check=True, or look at its returncode")
        elif name in ("os.system", "subprocess.call"):
            yield page.finding("NB304", "warning", call, f"nobody sees when this command fails: {name} only returns its status",
                               "use subprocess.run([...], check=True)")  # fmt: skip

    def _shell(self, book: Book, page: Page) -> Iterable[Finding]:
        later = [p for p in book.pages if p is page or p.cell.index > page.cell.index]
        looks = any(isinstance(n, ast.Name) and n.id == "_exit_code" for p in later for n in p.walk())
        for shell in page.shells:
            if shell.syntax in ("!", "x = !", "%sx", "%system") and not looks and classify(shell.text) is not Effect.READ:
                message = f"the exit status of !{shell.text.strip()[:50]} is never looked at"
                cure = "check _exit_code after it, or use %%bash with 'set -e', which raises"
                yield page.finding("NB303", "info", shell.line, message, cure)
            elif shell.syntax in ("%%bash", "%%sh", "%%script") and not re.search(
                r"^\s*set\s+-\w*e|^\s*set\s+-o\s+errexit", shell.text, re.M
            ):
                commands = [line for line in shell.text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
                writes = [line for line in commands[:-1] if classify(line) is not Effect.READ and "||" not in line]
                if len(commands) > 1 and writes and classify(shell.text) is not Effect.READ:
                    message = "the script goes on when a command in it fails; only the last one's status counts"
                    yield page.finding("NB305", "info", shell.line, message, "begin it with: set -euo pipefail")


def _broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(k is None or (isinstance(k, ast.Name) and k.id in _BROAD) for k in kinds)


def _broad_arguments(node: ast.Call) -> bool:
    return any(isinstance(a, ast.Name) and a.id in _BROAD for a in node.args)


def _risky(body: list[ast.stmt]) -> bool:
    """Whether a try body calls anything; a bare import to see whether a package is there is no risk."""
    if all(isinstance(s, (ast.Import, ast.ImportFrom, ast.Pass)) for s in body):
        return False
    return any(isinstance(n, (ast.Call, ast.Await, ast.Subscript, ast.BinOp)) for s in body for n in ast.walk(s))


def _passive(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.Pass, ast.Continue, ast.Break)):
        return True
    if isinstance(statement, ast.Return):
        return statement.value is None
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) or called(statement.value) in _TELLING
    if isinstance(statement, ast.Assign):
        return isinstance(statement.value, ast.Constant) or (
            isinstance(statement.value, (ast.List, ast.Dict)) and not ast.unparse(statement.value)[1:-1]
        )
    return False


def _is_told(statement: ast.Return | ast.Assign, handler: ast.ExceptHandler, broad: bool) -> bool:
    """Whether the exception is handed on as data. One that is named may be an answer (``KeyError``: None) unless its text is kept."""
    value = statement.value
    assert value is not None
    if broad and isinstance(statement, ast.Return):
        return _is_error_value(value, handler.name)
    kept = any(isinstance(n, ast.Name) and n.id == handler.name for n in ast.walk(value))
    speaks = isinstance(value, ast.Dict) and any(isinstance(k, ast.Constant) and "err" in str(k.value).lower() for k in value.keys)
    return kept and (speaks or (isinstance(statement, ast.Return) and isinstance(value, (ast.Tuple, ast.JoinedStr))))


def _is_error_value(node: ast.expr, caught: str | None) -> bool:
    """``None``, ``False``, an empty list, the exception itself, a text or dict that speaks of it."""
    if isinstance(node, ast.Constant):
        return node.value is None or node.value is False or isinstance(node.value, str) or node.value in (-1, 0, 1)
    if isinstance(node, (ast.List, ast.Dict, ast.Tuple, ast.Set)) and not ast.unparse(node)[1:-1]:
        return True
    return any(isinstance(n, ast.Name) and n.id == caught for n in ast.walk(node)) or (
        isinstance(node, ast.Dict) and any(isinstance(k, ast.Constant) and "err" in str(k.value).lower() for k in node.keys)
    )

"""NB7xx: what should not lie in a notebook's file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from holdfast.notebook.book import Book
from holdfast.notebook.finding import Finding
from holdfast.notebook.reader import NotebookCell

_SECRETS = (
    ("an AWS access key", re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a GitHub token", re.compile(r"\b(ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}\b")),
    ("a GitLab token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("a Slack webhook", re.compile(r"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{16,}")),
    ("a private key", re.compile(r"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----")),
    ("a bearer token", re.compile(r"\bBearer\s+[A-Za-z0-9_\-]{20,}\.[A-Za-z0-9_\-.]{20,}")),
    ("a Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("a Stripe key", re.compile(r"\b[rs]k_live_[0-9a-zA-Z]{20,}\b")),
    ("a password in a URL", re.compile(r"\b[a-z][a-z0-9+]*://[^\s/:@{}$<\"']+:(?!\*+@)[^\s/:@{}$<\"']{3,}@(?!(localhost|127\.0\.0\.1)\b)")),
)
_SECRET_NAME = re.compile(
    r"(?i)(.*_)?(password|passwd|pwd|secret|secret_key|secret_access_key|api_?key|access_token|auth_token|token|private_key)(_.*)?"
)
_PLACEHOLDER = re.compile(
    r"(?i)example|changeme|change[-_ ]me|placeholder|dummy|your[-_ ]|xxx|\*\*\*|<.*>|\$\{|\{\{|^(env|file|k8s|aws-sm|keyring|vault):|^test"
)


class Hygiene:
    """Secrets and outputs."""

    codes = {"NB701": "a secret in the notebook", "NB702": "outputs in the notebook's file"}

    def run(self, book: Book) -> Iterable[Finding]:
        """Look at the text of all cells."""
        for cell in book.notebook.cells:
            told: set[int] = set()
            for number, line in enumerate(cell.source.split("\n"), 1):
                for what, pattern in _SECRETS:
                    match = pattern.search(line)
                    if match and number not in told and not re.search(r"(?i)example", match.group()):
                        told.add(number)
                        yield _secret(cell, number, match.start() + 1, what)
        for page in book.pages:
            for node in page.walk():
                name, value = _named_text(node)
                if value is None or not _SECRET_NAME.fullmatch(name) or len(value) < 6 or " " in value or _PLACEHOLDER.search(value):
                    continue
                if not any(p.search(value) for _, p in _SECRETS):
                    yield _secret(page.cell, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1, f"a value for {name!r}")
        holding = [c for c in book.notebook.cells if c.outputs]
        if holding:
            message = f"{len(holding)} cells hold outputs: they show in every change, and may hold what should not be kept"
            cure = "clear them before committing (jupyter nbconvert --clear-output --inplace); executions keep their own"
            yield Finding(code="NB702", severity="info", message=message, cure=cure, cell=None, index=None)


def _secret(cell: NotebookCell, line: int, column: int, what: str) -> Finding:
    return Finding(
        code="NB701",
        severity="error",
        message=f"{what} stands in the notebook",
        cure='revoke it, and refer to it instead: secret("env:NAME"), secret("file:..."), ...',
        cell=cell.id,
        index=cell.index,
        line=line,
        column=column,
    )


def _named_text(node: ast.AST) -> tuple[str, str | None]:
    """The name and the literal text of an assignment, a keyword or a dict item; (``""``, None) otherwise."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            return str(target.slice.value), _text(value)
        name = target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""
        return name, _text(value)
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, _text(node.value)
    if isinstance(node, ast.keyword) and node.arg:
        return node.arg, _text(node.value)
    return "", None


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

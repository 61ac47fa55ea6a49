"""Texts as Markdown that shows them as they are, and the pieces that documents for people are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from holdfast.executions.rendering import plain
from holdfast.foundation import durations


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(inline(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "".join(f"- {inline(line)}\n" for line in lines)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values, those without a value left out."""
    return "".join(f"- **{name}**: {inline(value)}\n" for name, value in pairs if value)


def section(title: str, body: str, empty: str = "") -> str:
    """A heading with what stands under it; nothing, when that is empty and ``empty`` says nothing for it."""
    return f"## {title}\n\n{body or empty}\n" if body or empty else ""


def inline(text: str) -> str:
    """One line of Markdown that shows ``text`` as it is."""
    line = " ".join(plain(text).split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", line)


def fenced(text: str, language: str) -> str:
    """Several lines as they are."""
    longest = max((len(m) for m in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def length(seconds: float | None) -> str:
    """A length of time."""
    return "" if seconds is None else durations.text(max(0.0, seconds))

"""A question as a cell's output shows it without anything to click: while it waits, and for good once it has ended."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from holdfast.foundation import clock
from holdfast.kernel.notices import Bundle
from holdfast.model.prompt import NO, Prompt, PromptState
from holdfast.prompts.wording import end, facts, how_to_answer, value_rows

_BOX = (
    "border:1px solid var(--jp-border-color1,#bdbdbd);border-left:4px solid {};border-radius:3px;padding:.5em .9em;margin:.2em 0;"
    "max-width:46em;font-family:var(--jp-ui-font-family,sans-serif);font-size:13px;line-height:1.5;color:var(--jp-ui-font-color1,inherit)"
)
_OPEN, _YES, _NO, _GONE = "#e0a100", "#2e7d32", "#c62828", "#757575"


def card(prompt: Prompt) -> Bundle:
    """The question with how to answer it, or with how it ended."""
    if prompt.state == PromptState.OPEN:
        title, lines = prompt.text, facts(prompt)
        command = how_to_answer(prompt)
        html = f"<br><span>Waiting for an answer:</span> <code>{escape(command)}</code>"
        return _bundle(title, lines, f"Waiting for an answer: {command}", html, _OPEN)
    colour = _YES if prompt.state == PromptState.ANSWERED and prompt.answer != NO else _NO if prompt.answer == NO else _GONE
    at = f" at {clock.iso(prompt.answered_at)}" if prompt.answered_at else ""
    mark = {_YES: "✓ ", _NO: "✗ "}.get(colour, "")
    lines = [(n, v) for n, v in facts(prompt) if n in ("target", "count", "command")] + value_rows(prompt)
    said = end(prompt)
    return _bundle(prompt.text, lines, said, f'<br><span>{mark}{escape(said)}<span style="opacity:.7">{escape(at)}</span></span>', colour)


def heading(prompt: Prompt) -> str:
    """The question's text and facts as HTML, for the top of a form."""
    return f'<div style="font-size:14px;line-height:1.4"><strong>{escape(prompt.text)}</strong></div>' + table(
        (n, v) for n, v in facts(prompt) if n not in ("time left", "fields", "votes")
    )


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values."""
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:normal;opacity:.75;padding:0 1em 0 0;white-space:nowrap;'
        f'vertical-align:top">{escape(name)}</th><td style="text-align:left;padding:0">{_value(name, value)}</td></tr>'
        for name, value in rows
    )
    return f'<table style="border-collapse:collapse;margin:.3em 0;background:none">{cells}</table>' if cells else ""


def _value(name: str, value: str) -> str:
    return f"<code>{escape(value)}</code>" if name == "command" else escape(value)


def _bundle(title: str, rows: list[tuple[str, str]], said: str, html: str, colour: str) -> Bundle:
    text = "\n".join([title, *(f"    {name}: {value}".replace("    : ", "    ") for name, value in rows), f"  {said}"])
    inside = f"<strong>{escape(title)}</strong>{table(rows)}{html if not rows else html.removeprefix('<br>')}"
    return {"text/plain": text, "text/html": f'<div class="holdfast-prompt" role="status" style="{_BOX.format(colour)}">{inside}</div>'}

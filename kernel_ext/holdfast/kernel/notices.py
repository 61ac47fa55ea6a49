"""What the kernel says to people beside a cell's own output: short, the same in text and HTML, readable in light and dark themes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Literal

Bundle = dict[str, Any]
Tone = Literal["info", "wait", "stop"]

_BORDER = {"info": "#1f77b4", "wait": "#e0a100", "stop": "#c62828"}
_BOX = "border-left:4px solid {};padding:.3em .8em;margin:.2em 0;font-family:var(--jp-ui-font-family,sans-serif);font-size:13px"


def notice(title: str, lines: Iterable[str] = (), *, commands: Iterable[str] = (), tone: Tone = "info") -> Bundle:
    """A framed message: a title, sentences, and commands to type, each on its own line."""
    lines, commands = [x for x in lines if x], list(commands)
    text = "\n".join([title, *lines, *(f"    {c}" for c in commands)])
    body = f"<strong>{escape(title)}</strong>" + "".join(f"<br>{escape(x)}" for x in lines)
    if commands:
        body += "".join(f"<br><code>{escape(c)}</code>" for c in commands)
    style = _BOX.format(_BORDER[tone])
    return {"text/plain": text, "text/html": f'<div class="holdfast-notice" role="status" style="{style}">{body}</div>'}


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "", empty: str = "Nothing.") -> Bundle:
    """Rows under headings; ``empty`` is said when there are none."""
    shown = [[_cell(v) for v in row] for row in rows]
    if not shown:
        return notice(title or empty, [empty] if title else [])
    widths = [max(len(c), *(len(r[i]) for r in shown)) for i, c in enumerate(columns)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(columns, widths, strict=True)).rstrip()]
    lines += ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in shown]
    head = "".join(f'<th scope="col" style="text-align:left">{escape(c)}</th>' for c in columns)
    body = "".join("<tr>" + "".join(f'<td style="text-align:left">{escape(c)}</td>' for c in r) + "</tr>" for r in shown)
    caption = f'<caption style="text-align:left;font-weight:bold;caption-side:top">{escape(title)}</caption>' if title else ""
    html = f'<table class="holdfast-table">{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return {"text/plain": "\n".join(([title] if title else []) + lines), "text/html": html}


def bundled(parts: Sequence[Bundle]) -> Bundle:
    """Several as one."""
    return {kind: between.join(part[kind] for part in parts) for kind, between in (("text/plain", "\n"), ("text/html", ""))}


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def resumed(execution: str, runbook: str, done: int, total: int | None, *, moved_from: str | None = None) -> Bundle:
    """The banner of a kernel that goes on with an execution."""
    of = f" of {total}" if total else ""
    plural = "" if (total or done) == 1 else "s"
    return notice(
        f"Holdfast resumes execution {execution} of {runbook}",
        [
            f"Its notebook was moved here from {moved_from}." if moved_from else "",
            f"{done}{of} step{plural} recorded: their cells are not run again, their outputs and variables are restored.",
            "To start anew instead:",
        ],
        commands=["%holdfast new"],
    )


def suspended(reason: str, prompt: str | None, verdicts: Sequence[str] = ()) -> Bundle:
    """What a cell shows when it waits for a person."""
    if prompt is None:
        return notice("This cell waits", [reason, "Run it again when that has come; it goes on where it stopped."], tone="wait")
    choice = "|".join(verdicts) or "VERDICT"
    return notice(
        "This cell waits for a decision",
        [reason, "Nothing was repeated. Answer with one of these, then run the cell again:"],
        commands=[f"%holdfast answer {prompt} {choice}", f"holdfast answer {prompt} {choice}"],
        tone="wait",
    )


def fenced(execution: str, holder: str | None) -> Bundle:
    """What a cell shows when another worker has its execution now."""
    who = f" ({holder})" if holder else ""
    return notice(
        f"Stopped: another worker has taken execution {execution} over{who}",
        ["This kernel records nothing any more and makes no calls. Restart it to work with the execution's present state."],
        tone="stop",
    )


def cancelled(reason: str) -> Bundle:
    """What a cell shows when its execution was cancelled."""
    return notice("Stopped: the execution was cancelled", [reason], tone="stop")


def stale(step: str, causes: Sequence[str]) -> Bundle:
    """Said before a completed cell runs again because what it read has changed."""
    names = ", ".join(causes)
    return notice(
        f"Running again: step {step} reads what {names} wrote, and that ran again since",
        ["Writes that were made with the same request are answered from the record."],
    )


def left_out(step: str, why: str) -> Bundle:
    """Said instead of running a cell."""
    return notice(f"Not run: step {step} is left out", [why])


def doubtful(flags: Iterable[Any]) -> Bundle:
    """What a failed cell changed that cannot be undone in this process."""
    return notice(
        "This cell runs again, but not on quite the state it met first",
        [*(f"{f.name}: {f.why}" for f in flags), "Restart the kernel and run all for that exact state."],
        tone="wait",
    )


def orphaned(operations: Sequence[str]) -> Bundle:
    """Calls an earlier version of the cell made and this one did not."""
    return notice("Made by an earlier version of this cell and not asked for by this one; they stay made:", operations)


def undeclared(effects: Sequence[str]) -> Bundle:
    """Effects that are no calls."""
    return notice(
        "Not recorded, and done again when this step is resumed:",
        [*effects, "Put them in a function marked @holdfast.call to make them one durable call."],
        tone="wait",
    )


def flagged(flags: Iterable[Any]) -> Bundle:
    """What a restore in another process cannot promise; said when the cell first completes, not at the resume."""
    return notice("Cannot be restored as it is:", [f"{f.name}: {f.why} - {f.cure}" for f in flags], tone="wait")

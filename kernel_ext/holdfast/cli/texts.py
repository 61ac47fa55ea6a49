"""What the command line says to people: states in colour, durations, ends of executions with the next command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from holdfast.cli.desk import escape
from holdfast.foundation import clock

if TYPE_CHECKING:
    from holdfast.engine.watcher import Result
    from holdfast.model.prompt import Prompt

_COLOURS = {
    "succeeded": "green",
    "completed": "green",
    "answered": "green",
    "failed": "bold red",
    "suspended": "yellow",
    "paused": "yellow",
    "open": "yellow",
    "counted": "green",
    "expired": "magenta",
    "unknown": "bold yellow",
    "cancelled": "magenta",
    "running": "cyan",
    "started": "cyan",
    "queued": "blue",
    "skipped": "dim",
    "pending": "dim",
}


def coloured(state: str) -> str:
    """A state as markup."""
    colour = _COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else escape(state)


def duration(seconds: float | None) -> str:
    """``0.42 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)  # two clocks tell when a step began and when it ended
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def when(at: float | None) -> str:
    """A time for a table: local date and time of day."""
    return clock.utc(at).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def ago(at: float | None) -> str:
    """How long since ``at``."""
    return f"{duration(max(0.0, clock.now() - at))} ago" if at else ""


def request_line(request: dict[str, Any]) -> str:
    """The call a prompt is about, as one line: the command as run, the operation with its parameters."""
    operation = str(request.get("operation") or "")
    arguments = request.get("arguments") or {}
    shown = {k: v for k, v in arguments.items() if v not in (None, "", [], {})} if isinstance(arguments, dict) else {}
    if request.get("kind") in ("shell", "call") or not shown:  # these say it all in one line already
        return operation
    return f"{operation} {', '.join(f'{k}={v!r}' for k, v in shown.items())}"


def prompt_lines(prompts: Iterable[Prompt]) -> list[str]:
    """Each prompt with what it asks, of whom, until when, and how to answer."""
    lines = []
    for prompt in prompts:
        lines.append(f"[yellow]?[/] {escape(prompt.text)}")
        lines += [f"  [dim]{escape(name)}:[/] {escape(value)}" for name, value in facts(prompt)]
        if prompt.request and request_line(prompt.request):
            lines.append(f"  [bold]{escape(request_line(prompt.request))}[/]")
        if prompt.verdicts and prompt.state == "open":
            lines.append(f"  answer: {escape(how_to_answer(prompt))}")
    return lines


def facts(prompt: Prompt) -> list[tuple[str, str]]:
    """What an author's question says beside its text, for people: (name, value)."""
    from holdfast.prompts.allowed import who_may

    question = prompt.question
    if question is None:
        return []
    needed = f"{question.at_least} of them, {prompt.needed} more needed" if question.at_least > 1 else ""
    not_self = f"not {question.started_by}, who started it" if question.not_self else ""
    fields = ", ".join((question.schema or {}).get("properties") or ()) if prompt.kind == "form" else ""
    found = {
        "target": question.target if question.count is None else f"{question.target or ''} ({question.count})".strip(),
        "command": question.command,
        "fields": fields,
        "who may answer": "; ".join(filter(None, [", ".join(who_may(prompt)), needed, not_self])),
        "votes": ", ".join(f"{v.who}: {v.verdict}" for v in prompt.votes),
        "time left": _left(prompt),
    }
    return [(name, value) for name, value in found.items() if value]


def _left(prompt: Prompt) -> str:
    if prompt.due_at is None or prompt.state != "open":
        return ""
    left = prompt.due_at - clock.now()
    stand_in = prompt.question.timed_out if prompt.question else None
    then = f"then {stand_in['value'] if stand_in['value'] is not None else stand_in['verdict']}" if stand_in else "then the step fails"
    return f"{duration(left)}, {then}" if left > 0 else f"none, {then}"


def how_to_answer(prompt: Prompt) -> str:
    """The command that answers a prompt, with what has to be filled in."""
    from holdfast.model.prompt import PromptKind

    question = prompt.question
    said = "|".join(shlex.quote(v) if " " in v else v for v in prompt.verdicts)
    if prompt.kind == PromptKind.FORM:
        said = "--value JSON (or: decline)"
    elif prompt.kind == PromptKind.ASK and question is not None and question.schema is not None:
        said = "TEXT (or: decline)"
    typed = f" --typed {shlex.quote(question.typed)}" if question is not None and question.typed else ""
    why = " --why TEXT" if question is not None and question.why else ""
    return f"holdfast answer {prompt.id} {said}{typed}{why}"


def result_lines(result: Result, prompts: list[Prompt]) -> list[str]:
    """How an execution ended, and what to do next."""
    id = shlex.quote(result.execution)
    reason = "" if prompts else result.reason  # a prompt says it below, with what to do
    lines = [f"{coloured(result.status)}  {escape(result.execution)}" + (f"  {escape(reason)}" if reason else "")]
    if result.output:
        lines.append(f"  output: {escape(result.output)}")
    if result.status == "failed":
        if result.failure is not None and result.failure.teardown:
            lines.append(f"  to undo, run by hand: {escape(', '.join(result.failure.teardown))} (teardown steps of the runbook)")
        lines.append(f"  when it is mended:  holdfast resume {id}      (after editing the notebook: --accept-changes)")
    elif result.status == "suspended":
        lines += ["  " + line for line in prompt_lines(prompts)]
        if result.due_at is not None:
            lines.append(f"  due: {when(result.due_at)}")
        lines.append(f"  then:  holdfast resume {id}")
    elif result.status == "paused":
        lines.append(f"  go on:  holdfast resume {id}")
    return lines

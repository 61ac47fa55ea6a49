"""What the command line says to people: states in colour, durations, ends of executions with the next command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from holdfast.cli.desk import escape
from holdfast.foundation import clock
from holdfast.model.call import request_line

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


def prompt_lines(prompts: Iterable[Prompt]) -> list[str]:
    """Each prompt with what it asks, of whom, until when, and how to answer."""
    from holdfast.prompts.wording import facts, how_to_answer

    lines = []
    for prompt in prompts:
        lines.append(f"[yellow]?[/] {escape(prompt.text)}")
        lines += [f"  [dim]{escape(name)}:[/] {escape(value)}" for name, value in facts(prompt)]
        if prompt.question is None and prompt.request:
            lines.append(f"  [bold]{escape(request_line(prompt.request))}[/]")
        if prompt.verdicts and prompt.state == "open":
            lines.append(f"  answer: {escape(how_to_answer(prompt))}")
    return lines


def result_lines(result: Result, prompts: list[Prompt]) -> list[str]:
    """How an execution ended, and what to do next."""
    id = shlex.quote(result.execution)
    reason = "" if prompts else result.reason  # a prompt says it below, with what to do
    lines = [f"{coloured(result.status)}  {escape(result.execution)}" + (f"  {escape(reason)}" if reason else "")]
    if result.output:
        lines.append(f"  output: {escape(result.output)}")
    if result.status == "failed":
        if result.failure is not None and result.failure.teardown:
            lines.append(f"  to undo:  holdfast rollback {id} {escape(' '.join(map(shlex.quote, result.failure.teardown)))}")
            for name, effects in result.failure.undoes.items():
                lines += [f"    {escape(name)} is there to undo {escape(effect)}" for effect in effects]
        lines.append(f"  when it is mended:  holdfast resume {id}      (after editing the notebook: --accept-changes)")
    elif result.status == "suspended":
        lines += ["  " + line for line in prompt_lines(prompts)]
        if result.due_at is not None:
            lines.append(f"  due: {when(result.due_at)}")
        lines.append(f"  then:  holdfast resume {id}")
    elif result.status == "paused":
        lines.append(f"  go on:  holdfast resume {id}")
    return lines

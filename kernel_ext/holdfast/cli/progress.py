"""Progress of a running execution: a live table on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from holdfast.cli.desk import Desk, escape
from holdfast.cli.texts import coloured, duration, when
from holdfast.engine.watcher import Failure, Watcher
from holdfast.foundation import clock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    from holdfast.model.execution import Execution
    from holdfast.model.manifest import Manifest


class Progress(Watcher):
    """Says nothing; the base of the others. A context manager: within it the terminal may be drawn on."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    @contextmanager
    def hush(self) -> Iterator[None]:
        """Within, nothing is drawn anew: a person is asked something."""
        yield


class PlainProgress(Progress):
    """One line per event, for logs and pipes.

    Args:
        console: where to.
        follow: also what the cells print.
    """

    def __init__(self, console: Console, follow: bool) -> None:
        self._console, self._follow = console, follow
        self._began: dict[str, float] = {}

    def started(self, execution: Execution, manifest: Manifest, notebook: Any, resumed: bool) -> None:
        verb = "resuming" if resumed else "running"
        self._say(f"{verb} {execution.runbook} as {execution.id} ({len(manifest.steps)} steps)")

    def step_started(self, step: str, attempt: int, recorded: bool) -> None:
        self._began[step] = clock.monotonic()
        if not recorded:
            self._say(f"{step}: started" + (f", attempt {attempt}" if attempt > 1 else ""))

    def step_ended(self, step: str, state: str, failure: Failure | None, retry_at: float | None) -> None:
        took = clock.monotonic() - self._began[step] if step in self._began else None
        text = f"{step}: {state}" + (f" in {duration(took)}" if took is not None and state == "succeeded" else "")
        if failure is not None:
            text += f": {failure.headline}"
        if retry_at is not None:
            text += f"; goes on at {when(retry_at)}"
        self._say(text)

    def output(self, index: int, output: Any) -> None:
        if self._follow and (text := output_text(output)):
            self._say(text.rstrip("\n"))

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


class LiveProgress(Progress):
    """A table of the steps that is drawn anew while they run.

    Args:
        console: the terminal.
        follow: also what the cells print, above the table.
    """

    def __init__(self, console: Console, follow: bool) -> None:
        self._console, self._follow = console, follow
        self._lock = threading.Lock()
        self._title = ""
        self._rows: dict[str, dict[str, Any]] = {}
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        from rich.live import Live

        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=8, redirect_stdout=False)
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def hush(self) -> Iterator[None]:
        """Within, nothing is drawn anew: a person is asked something."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def started(self, execution: Execution, manifest: Manifest, notebook: Any, resumed: bool) -> None:
        verb = "resuming" if resumed else "running"
        with self._lock:
            self._title = f"{verb} [bold]{escape(manifest.title or execution.runbook)}[/]  {escape(execution.id)}"
            for step in manifest.steps:
                if step.teardown_of is None:
                    self._rows[step.name] = {
                        "state": "pending",
                        "label": step.label or step.description,
                        "cells": len(step.cells),
                        "done": 0,
                    }

    def step_started(self, step: str, attempt: int, recorded: bool) -> None:
        self._set(step, state="running", began=clock.monotonic(), attempt=attempt, recorded=recorded, done=0, took=None)

    def cell_ended(self, index: int, step: str, state: str) -> None:
        with self._lock:
            row = self._rows.get(step)
            if row is not None and state in ("ran", "skipped"):
                row["done"] += 1

    def step_ended(self, step: str, state: str, failure: Failure | None, retry_at: float | None) -> None:
        with self._lock:
            row = self._rows.get(step, {})
            took = clock.monotonic() - row["began"] if "began" in row else None
        note = failure.headline if failure else ""
        if retry_at is not None:
            note += f" (again at {when(retry_at)})"
        self._set(step, state=state, took=took, note=note)

    def output(self, index: int, output: Any) -> None:
        if self._follow and (text := output_text(output)):
            self._console.print(text.rstrip("\n"), markup=False)

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, style="yellow")

    def _set(self, step: str, **values: Any) -> None:
        with self._lock:
            self._rows.setdefault(step, {"label": "", "cells": 0, "done": 0, "state": "pending"}).update(values)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(title=self._title, title_justify="left", box=None, pad_edge=False, show_header=False)
        with self._lock:
            for name, row in self._rows.items():
                table.add_row(_mark(row), escape(name), coloured(row["state"]), _time(row), _progress(row), escape(row.get("note") or ""))
        return table


def _mark(row: dict[str, Any]) -> str:
    marks = {
        "succeeded": "[green]✓[/]",
        "failed": "[red]✗[/]",
        "running": "[cyan]▸[/]",
        "suspended": "[yellow]‖[/]",
        "skipped": "[dim]–[/]",
    }
    return marks.get(row["state"], "[dim]·[/]")


def _time(row: dict[str, Any]) -> str:
    if row.get("recorded"):
        return "[dim]recorded[/]"
    if row["state"] == "running" and "began" in row:
        return duration(clock.monotonic() - row["began"])
    return duration(row.get("took")) if row["state"] != "skipped" else ""


def _progress(row: dict[str, Any]) -> str:
    attempt = f"attempt {row['attempt']}  " if row.get("attempt", 1) > 1 else ""
    cells = f"cell {min(row['done'] + 1, row['cells'])} of {row['cells']}" if row["state"] == "running" and row["cells"] > 1 else ""
    return attempt + cells


def output_text(output: Any) -> str:
    """The text of an output, as a terminal can show it."""
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return "\n".join(output.traceback)
    return str(output.get("data", {}).get("text/plain", ""))


def progress(desk: Desk, *, follow: bool, quiet: bool) -> Progress:
    """The watcher for this terminal."""
    if quiet:
        return Progress()
    console = desk.err
    return LiveProgress(console, follow) if console.is_terminal and not console.is_dumb_terminal else PlainProgress(console, follow)

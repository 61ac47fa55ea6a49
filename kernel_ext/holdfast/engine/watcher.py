"""What the engine tells those who watch: the command line's progress, papermill's manager, Dagster."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.model.execution import Execution, Status
from holdfast.model.manifest import Manifest


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a step failed."""

    step: str
    type: str  # the exception's class
    what: str  # its text
    code: str | None = None  # HFnnn, where it has one
    terminal: bool = False  # no retry
    teardown: tuple[str, ...] = ()  # steps that undo it, offered to people
    undoes: dict[str, tuple[str, ...]] = {}  # each of them: the changes on record that it is there to undo

    @property
    def headline(self) -> str:
        """Code (or class) and text, on one line."""
        name = self.code or self.type
        line = (self.what.strip().splitlines() or [""])[0][:300]
        return line if line.startswith(name) else f"{name}: {line}"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine left an execution."""

    execution: str
    status: Status
    reason: str = ""
    output: str | None = None  # where the output notebook is
    failure: Failure | None = None
    prompts: tuple[str, ...] = ()  # ids that wait for an answer
    matters: tuple[str, ...] = ()  # keys of all pending matters that it was suspended for, prompts among them
    due_at: float | None = None  # when a suspended one goes on by itself
    undone: tuple[str, ...] = ()  # teardown steps that have undone a failed execution, because a person asked for it
    error: BaseException | None = None  # the client's own exception behind a failure, for callers that want it


class Watcher:
    """Hears of everything; each method does nothing by default. Called from the engine's threads, one call at a time.

    Whatever a watcher raises is written to the log and does not touch the execution.
    """

    def started(self, execution: Execution, manifest: Manifest, notebook: Any, resumed: bool) -> None:
        """The engine owns the execution. ``notebook`` is the output notebook, a ``NotebookNode`` that fills as cells run."""

    def step_started(self, step: str, attempt: int, recorded: bool) -> None:
        """A step begins; ``recorded``: it succeeded before and is only shown again."""

    def cell_started(self, index: int, step: str) -> None:
        """The cell at ``index`` of the notebook was sent."""

    def output(self, index: int, output: Any) -> None:
        """A cell printed or showed something (an nbformat output)."""

    def updated(self, index: int, output: Any) -> None:
        """A cell shows something else in the place of what it showed: a progress bar."""

    def cell_ended(self, index: int, step: str, state: str) -> None:
        """The kernel answered: ``ran | skipped | failed | suspended | cancelled``, or ``passed`` for a cell that is no code."""

    def cell_told(self, index: int, step: str, told: dict[str, Any]) -> None:
        """What the kernel said of the cell besides: ``calls`` (how many it made), ``plan`` (a dry run: those it would have made)."""

    def step_ended(self, step: str, state: str, failure: Failure | None, retry_at: float | None) -> None:
        """A step is ``succeeded | skipped | failed | suspended``; ``retry_at`` when another attempt follows."""

    def step_waits(self, step: str, reason: str) -> None:
        """What a step waits for that is about to be ``suspended``."""

    def note(self, text: str) -> None:
        """Something a person should know: a kernel died, a pause was asked for."""

    def ended(self, result: Result) -> None:
        """The engine lets go of the execution."""

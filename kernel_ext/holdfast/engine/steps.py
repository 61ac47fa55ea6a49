"""One attempt at one step, in the thread of the kernel that was chosen for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from nbclient.exceptions import CellTimeoutError

from holdfast.engine.cells import Reply
from holdfast.engine.kernels import Kernel, KernelDied, Sent
from holdfast.engine.watcher import Failure
from holdfast.errors import AuthorError
from holdfast.foundation import faults
from holdfast.model.manifest import Cell, Manifest, Step

#: nbclient leaves cells with this tag out.
SKIP_EXECUTION = "skip-execution"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a kernel is given to do."""

    step: Step
    cells: tuple[Sent, ...]
    ancestors: tuple[str, ...]
    attempt: int
    recorded: bool  # it succeeded before: it is shown again
    apply: bool  # its recorded state is wanted in this kernel
    begun: bool  # a cell of it is recorded: `when` was true


class StepEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How the attempt ended."""

    state: str  # succeeded | skipped | failed | suspended | cancelled | fenced | held | died
    failure: Failure | None = None
    journaled: bool = True  # failed: the kernel has written it down
    reply: dict[str, Any] = {}  # what the kernel said besides
    error: BaseException | None = None  # nbclient's own, for papermill
    reason: str = ""


class Layout:
    """Where the cells of the steps stand in the notebook, and which cells pass by unsent."""

    def __init__(self, manifest: Manifest, cells: list[Any], parameters_digest: str, allow_errors: bool = False) -> None:
        self._digest, self._allow_errors = parameters_digest, allow_errors
        self._cells = cells
        first = [c for c in (manifest.parameters_cell, manifest.injected_cell) if c is not None and self.sent(c)]
        self.leading: list[tuple[str, Cell]] = [("parameters", c) for c in first]
        self.leading += [("setup", c) for c in manifest.setup if self.sent(c)]
        self._steps = {s.name: tuple(c for c in s.cells if self.sent(c)) for s in manifest.steps}
        self._passing = self._attach({c.index for _, c in self.leading} | {c.index for cs in self._steps.values() for c in cs})

    def sent(self, cell: Cell) -> bool:
        """Whether nbclient would send it."""
        return bool(cell.source.strip()) and SKIP_EXECUTION not in cell.tags

    def of(self, step: str) -> tuple[Cell, ...]:
        """The cells of the step that are sent."""
        return self._steps[step]

    def _attach(self, active: set[int]) -> dict[int, tuple[int, ...]]:
        """Active cell -> the prose directly above it; -1: what stands below the last one."""
        above: dict[int, tuple[int, ...]] = {}
        waiting: list[int] = []
        for index, cell in enumerate(self._cells):
            if index in active:
                above[index], waiting = tuple(waiting), []
            elif cell.cell_type != "code" or not cell.source.strip() or SKIP_EXECUTION in cell.metadata.get("tags", []):
                waiting.append(index)
        above[-1] = tuple(waiting)
        return above

    def passing(self, index: int) -> tuple[int, ...]:
        """The cells that pass by before the cell at ``index``."""
        return self._passing.get(index, ())

    def setup(self, attempts: Callable[[str], int]) -> tuple[Sent, ...]:
        """What every new kernel runs first."""
        found = []
        for role, cell in self.leading:
            run = {"step": role, "role": role, "last": False, "attempt": attempts(role), "ancestors": []}
            found.append(self._sent(cell, role, run))
        return tuple(found)

    def task(self, step: Step, *, ancestors: tuple[str, ...], attempt: int, recorded: bool, apply: bool, begun: bool) -> Task:
        """The step as a task."""
        cells = self.of(step.name)
        sents = []
        for cell in cells:
            run = {"step": step.name, "last": cell is cells[-1], "attempt": attempt, "ancestors": list(ancestors), "apply": apply}
            sents.append(self._sent(cell, step.name, run))
        return Task(step=step, cells=tuple(sents), ancestors=ancestors, attempt=attempt, recorded=recorded, apply=apply, begun=begun)

    def _sent(self, cell: Cell, step: str, run: dict[str, Any]) -> Sent:
        run = {**run, "parameters_digest": self._digest, "source": "engine"}
        if self._allow_errors:
            run["allow_errors"] = True
        return Sent(index=cell.index, step=step, run=run, before=self.passing(cell.index))


class StepRunner:
    """Runs tasks in kernels.

    Args:
        held: whether somebody asked to stop; looked at between cells.
        saved: called after each cell with its state, to write the output notebook.
        waited: seconds that a step has waited for something since a time (seconds since the epoch); they do not count as its own.
    """

    def __init__(self, held: Callable[[], bool], saved: Callable[[str], None], waited: Callable[[str, float], float]) -> None:
        self._held, self._saved, self._waited = held, saved, waited

    def run(self, kernel: Kernel, task: Task) -> StepEnd:
        """One attempt; in the kernel's thread."""
        faults.point("engine.before_step")
        try:
            end = self._run(kernel, task)
        except KernelDied as died:
            kernel.dirty = True
            end = self._died(kernel, task, str(died))
        except CellTimeoutError as error:
            failure = Failure(step=task.step.name, type="CellTimeoutError", what=str(error).splitlines()[0])
            end = StepEnd(state="failed", failure=failure, journaled=False, error=error)
        if end.state == "succeeded":
            faults.point("engine.after_step")
        return end

    def _run(self, kernel: Kernel, task: Task) -> StepEnd:
        reply = kernel.ensure()
        if reply is not None:
            return self._of_reply(reply, str(reply.told.get("step") or "setup"), kernel, None)
        if task.step.policy.when and not task.begun:
            holds, problem = kernel.evaluate(task.step.policy.when, {"step": task.step.name, "ancestors": list(task.ancestors)})
            kernel.holds |= set(task.ancestors)
            if problem:
                error = AuthorError(
                    "HF182", f"the condition `when` cannot be evaluated: {problem}", step=task.step.name, cure=task.step.policy.when
                )
                return StepEnd(state="failed", failure=failure_of(task.step.name, error), journaled=False)
            if not holds:
                return StepEnd(state="skipped", reason=f"when: {task.step.policy.when}")
        with kernel.limit(None if task.recorded else task.step.policy.timeout, partial(self._waited, task.step.name)):
            for sent in task.cells:
                if self._held():
                    return StepEnd(state="held")
                reply = kernel.execute(sent)
                self._saved(reply.state)
                if reply.state not in ("ran", "skipped"):
                    if reply.state != "failed":
                        kernel.dirty = True
                    return self._of_reply(reply, task.step.name, kernel, task.step.policy.timeout)
        if task.apply:
            kernel.holds |= {*task.ancestors, task.step.name}
        return StepEnd(state="succeeded")

    def _of_reply(self, reply: Reply, step: str, kernel: Kernel, timeout: float | None) -> StepEnd:
        if reply.state != "failed":
            return StepEnd(state=reply.state, reply=reply.told, reason=str(reply.told.get("reason") or ""))
        journaled = "attempt" in reply.told  # else the cell was stopped, or refused, before it began
        if kernel.timed_out:
            failure = failure_of(step, timed_out(step, timeout))
            return StepEnd(state="failed", failure=failure, reply=reply.told, journaled=journaled)
        told = reply.told.get("error") or {}
        failure = Failure(
            step=step,
            type=str(told.get("type") or reply.content.get("ename") or "Error"),
            what=str(told.get("what") or reply.content.get("evalue") or ""),
            code=told.get("code"),
            terminal=bool(reply.told.get("terminal")) or reply.content.get("ename") == "TerminalError",
        )
        return StepEnd(state="failed", failure=failure, reply=reply.told, journaled=journaled)

    def _died(self, kernel: Kernel, task: Task, words: str) -> StepEnd:
        if kernel.timed_out:
            return StepEnd(
                state="failed", failure=failure_of(task.step.name, timed_out(task.step.name, task.step.policy.timeout)), journaled=False
            )
        return StepEnd(state="died", reason=words)


def timed_out(step: str, seconds: float | None) -> AuthorError:
    """The error of a step that took too long."""
    return AuthorError(
        "HF180",
        f"the step took longer than its timeout of {seconds or 0:g} s",
        step=step,
        cure="Raise the timeout, or make the step smaller.",
    )


def failure_of(step: str, error: AuthorError) -> Failure:
    """A failure that the engine found itself."""
    return Failure(step=step, type=type(error).__name__, what=error.what, code=error.code)

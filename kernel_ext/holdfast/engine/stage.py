"""An execution made ready to be worked on: notebook, journal, output, and what its kernels share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.engine.cells import CellsClient
from holdfast.engine.kernels import Seat
from holdfast.engine.merged import SharedOutput, recorded
from holdfast.engine.output import Output, Stamps
from holdfast.engine.record import Record, StepRecord
from holdfast.engine.steps import Layout, StepEnd
from holdfast.engine.watcher import Failure, Result, Watcher
from holdfast.executions.injection import source, with_parameters
from holdfast.executions.places import tidy
from holdfast.executions.start import default_output, pinned_notebook
from holdfast.foundation import process
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.entry import Kind
from holdfast.model.execution import Execution
from holdfast.model.manifest import Manifest
from holdfast.notebook.compile import compile as compile_notebook
from holdfast.notebook.parameters import parameters_digest

_log = logging.getLogger(__name__)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller decides about one stretch of work; nothing of it outlives the process."""

    output: str | None = None  # instead of the place the execution was started with
    make_client: Callable[[Any], Any] = CellsClient  # notebook -> nbclient client with CellsMixin
    notebook: Any = None  # the output notebook, when the caller keeps it (papermill)
    write_output: bool = True
    stamp: bool = True  # write papermill's keys; papermill does so itself
    allow_errors: bool = False
    start_timeout: float = 60.0
    folder: str | None = None  # working directory of the kernels, instead of the recorded one
    beside: str | None = None  # the one step that is worked on, while other processes work on others; empty: by the last of them, none


class Announcer(Watcher):
    """Passes everything on to several watchers, one call at a time; what they raise goes to the log."""

    def __init__(self, watchers: tuple[Watcher, ...]) -> None:
        self._watchers, self._lock = watchers, threading.RLock()

    def _tell(self, name: str, *arguments: Any) -> None:
        with self._lock:
            for watcher in self._watchers:
                try:
                    getattr(watcher, name)(*arguments)
                except Exception:
                    _log.exception("a watcher failed in %s", name)

    def started(self, execution: Execution, manifest: Manifest, notebook: Any, resumed: bool) -> None:
        self._tell("started", execution, manifest, notebook, resumed)

    def step_started(self, step: str, attempt: int, recorded: bool) -> None:
        self._tell("step_started", step, attempt, recorded)

    def cell_started(self, index: int, step: str) -> None:
        self._tell("cell_started", index, step)

    def output(self, index: int, output: Any) -> None:
        self._tell("output", index, output)

    def updated(self, index: int, output: Any) -> None:
        self._tell("updated", index, output)

    def cell_ended(self, index: int, step: str, state: str) -> None:
        self._tell("cell_ended", index, step, state)

    def cell_told(self, index: int, step: str, told: dict[str, Any]) -> None:
        self._tell("cell_told", index, step, told)

    def step_ended(self, step: str, state: str, failure: Failure | None, retry_at: float | None) -> None:
        self._tell("step_ended", step, state, failure, retry_at)

    def step_waits(self, step: str, reason: str) -> None:
        self._tell("step_waits", step, reason)

    def note(self, text: str) -> None:
        self._tell("note", text)

    def ended(self, result: Result) -> None:
        self._tell("ended", result)


class Stage:
    """Everything an execution's steps need, for as long as this process owns it.

    Args:
        store, config: the installation.
        execution: its header.
        fence: as granted.
        options: see :class:`Options`.
        watchers: who hears of progress.

    Raises:
        HoldfastError: the pinned notebook is lost, cannot be compiled by this version, or there is none.
    """

    def __init__(
        self, store: Store, config: Config, execution: Execution, fence: int, options: Options, watchers: tuple[Watcher, ...]
    ) -> None:
        self.store, self.config, self.execution, self.options = store, config, execution, options
        self.writer = Writer(store, execution.id, fence, config.user)
        self.record = Record.load(store, execution.id)
        self.resumed = bool(self.record.steps)
        executed = with_parameters(pinned_notebook(store, execution), execution.parameters)
        self.manifest = compile_notebook(executed)
        self.notebook = executed.node() if options.notebook is None else options.notebook
        self.parameters_digest = parameters_digest(execution.parameters)
        self.layout = Layout(self.manifest, self.notebook.cells, self.parameters_digest, options.allow_errors)
        self.lock = threading.RLock()
        self.announce = Announcer(watchers)
        place = options.output or self.record.created.get("output") or default_output(config, execution.id)
        shown = source(execution.shown_parameters) if execution.secrets else None
        target = str(place) if options.write_output else None
        if options.beside is None:
            self.output = Output(self.notebook, target, self.lock, shown)
        else:
            look = partial(recorded, store, execution.id, options.beside)
            self.output = SharedOutput(self.notebook, target, self.lock, shown, look)
        self._stamps = Stamps(self.notebook, self.lock) if options.stamp else None
        self._quiet = self.resumed  # what is on disk says more than the notebook that is being filled again
        self._deaths: dict[str, int] = {}
        self.seat = self._seat(fence)

    def _seat(self, fence: int) -> Seat:
        config = msgspec.structs.replace(self.config, execution=self.execution.id, fence=fence)
        return Seat(
            environment=config.process_environment(),
            folder=self._folder(),
            logs=self.config.state_dir / "kernels" / self.execution.id,
            make_client=lambda: self.options.make_client(self.notebook),
            lock=self.lock,
            setup=self.layout.setup(lambda role: self.record.step(role).attempt),
            on_start=self._kernel_started,
            on_output=self.announce.output,
            on_update=self.announce.updated,
            on_cell=self._on_cell,
            on_told=self.announce.cell_told,
            start_timeout=self.options.start_timeout,
        )

    def _folder(self) -> str:
        wanted = self.options.folder or self.record.created.get("folder")
        if isinstance(wanted, str) and Path(wanted).is_dir():
            return wanted
        here = str(Path.cwd())
        if wanted:
            self.announce.note(f"the folder {wanted} is not there; the kernels start in {here}")
        return here

    def begin(self) -> None:
        """Stamp the notebook and write it out for the first time."""
        if self._stamps is not None:
            self._stamps.begin(self.execution.id, self.execution.shown_parameters, self.execution.path, self.output.place)
        if self.output.place is not None and "://" not in self.output.place:
            tidy(Path(self.output.place))
        if not self._quiet:
            self.output.write()
        self.announce.started(self.execution, self.manifest, self.notebook, self.resumed)

    def finish(self, result: Result) -> None:
        """Stamp how it ended and write the notebook out for the last time."""
        if self._stamps is not None:
            self._stamps.end(str(result.status), result.reason)
        self.output.write()

    # ---- called from the kernels' threads

    def _kernel_started(self, pid: int, started: str) -> None:
        self.record.kernels[pid] = (pid, started, process.host(), process.boot_id())
        body = {"what": "kernel_started", "pid": pid, "started": started, "host": process.host(), "boot": process.boot_id()}
        self.writer.append(Kind.NOTE, body, step=self.options.beside or None)

    def _on_cell(self, what: str, index: int, step: str, state: str) -> None:
        if what == "started":
            if self._stamps is not None:
                self._stamps.cell_started(index)
            self.announce.cell_started(index, step)
        else:
            if self._stamps is not None:
                self._stamps.cell_ended(index, state)
            self.announce.cell_ended(index, step, state)

    def cell_saved(self, state: str) -> None:
        """A cell was answered: write the notebook out, unless it only shows again what is on disk already."""
        if state not in ("skipped", "passed"):
            self._quiet = False
        if not self._quiet:
            self.output.write()

    # ---- called from the main loop

    def suspended(self, step: str, end: StepEnd) -> None:
        """Say in the notebook, at the cell, what is waited for."""
        index = self._stopped_at(step)
        self.announce.step_waits(step, end.reason or "")
        if index is None:
            self.announce.step_ended(step, "suspended", None, end.reply.get("due_at"))
            return
        prompt = end.reply.get("prompt")
        answer = f"\n\nAnswer: `holdfast answer {prompt} VERDICT`, then `holdfast resume {self.execution.id}`" if prompt else ""
        text = f"**Suspended**: {end.reason or 'waiting'}{answer}"
        from nbformat.v4 import new_output

        shown = new_output("display_data", data={"text/markdown": text, "text/plain": text.replace("**", "")})  # type: ignore[no-untyped-call]
        with self.lock:
            self.notebook.cells[index].outputs.append(shown)
        self._quiet = False
        self.announce.step_ended(step, "suspended", None, end.reply.get("due_at"))

    def failed(self, step: str, failure: Failure) -> None:
        """Say in the notebook, at the cell, why the step failed, where the kernel has not said so itself."""
        index = self._stopped_at(step) if failure.step == step else None
        if index is None or any(o.output_type == "error" for o in self.notebook.cells[index].outputs):
            return
        from nbformat.v4 import new_output

        name, text = failure.code or failure.type, failure.what or failure.type
        shown = new_output("error", ename=name, evalue=text, traceback=[failure.headline])  # type: ignore[no-untyped-call]
        with self.lock:
            self.notebook.cells[index].outputs.append(shown)
        self._quiet = False
        self._on_cell("ended", index, step, "failed")
        self.output.write()

    def _stopped_at(self, step: str) -> int | None:
        """The cell of the step that did not complete."""
        states = {c.index: self.notebook.cells[c.index].metadata.get("papermill", {}).get("status") for c in self.layout.of(step)}
        return next((index for index, status in states.items() if status != "completed"), None)

    def pass_rest(self) -> None:
        """The prose below the last cell passes by."""
        for index in self.layout.passing(-1):
            self._on_cell("ended", index, "", "passed")

    def progress(self, step: str, known: StepRecord) -> bool:
        """Whether anything of ``step`` was recorded since its last kernel died."""
        kinds = (Kind.CALL_OUTCOME, Kind.CELL_COMPLETED, Kind.ITEM_COMPLETED, Kind.NOTE)
        entries = self.store.read(self.execution.id, step=step, after=self._deaths.get(step, 0), kinds=kinds)
        first = step not in self._deaths
        if entries:
            self._deaths[step] = entries[-1].seq
        return not first and any(e.kind != Kind.NOTE for e in entries)

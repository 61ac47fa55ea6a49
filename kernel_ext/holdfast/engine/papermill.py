"""``papermill --engine holdfast in.ipynb out.ipynb``: papermill's command line, files and progress over Holdfast's engine.

Which execution a command belongs to is decided by what it says: the same input, output, parameters and notebook text is the same
execution. When that one has not come to its end (the machine went down, a step failed, it waits for an answer), the command continues
it; when it succeeded or was cancelled, the command starts a new one.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager
from papermill.log import logger
from papermill.utils import merge_kwargs, remove_args

from holdfast.config import Config
from holdfast.engine.cells import CellsMixin
from holdfast.engine.execute import execute
from holdfast.engine.stage import Options
from holdfast.engine.watcher import Failure, Result, Watcher
from holdfast.errors import OperatorError
from holdfast.executions.places import put_in_place
from holdfast.executions.start import Prepared, start
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.execution import Execution, Status
from holdfast.model.manifest import Manifest
from holdfast.notebook.compile import compile as compile_notebook
from holdfast.notebook.reader import Notebook, read


class PapermillCells(CellsMixin, PapermillNotebookClient):  # type: ignore[misc]
    """Papermill's client (log output, stdout file, autosave) with Holdfast's metadata."""


class Manager(NotebookExecutionManager):  # type: ignore[misc]
    """Papermill's manager, whose local files are whole at any moment."""

    ended_early = False  # suspended, paused or cancelled: cells that did not run stay pending

    def save(self, **kwargs: Any) -> None:
        """Write the notebook where papermill was told to."""
        if kwargs.get("nb"):
            self.nb: Any = kwargs["nb"]
        place = local_path(self.output_path)
        if place is None:
            super().save()
            return
        import nbformat

        with getattr(self, "lock", None) or contextlib.nullcontext():
            text: str = nbformat.writes(self.nb)  # type: ignore[no-untyped-call]
        put_in_place(place, text)
        self.last_save_time = self.now()

    def notebook_complete(self, **kwargs: Any) -> None:
        """Papermill's end; it would call every pending cell completed."""
        pending = [c for c in self.nb.cells if c.metadata.papermill["status"] == self.PENDING] if self.ended_early else []
        super().notebook_complete(**kwargs)
        for cell in pending:
            cell.metadata.papermill["status"] = self.PENDING
        if pending:
            self.save()


class HoldfastEngine(NBClientEngine):  # type: ignore[misc]
    """The engine papermill finds under the name ``holdfast``."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: Any = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        **kwargs: Any,
    ) -> Any:
        """As papermill's own engines do it, with :class:`Manager`."""
        manager = Manager(nb, output_path, log_output=log_output, progress_bar=progress_bar, autosave_cell_every=autosave_cell_every)
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **kwargs)
        finally:
            manager.cleanup_pbar()
            manager.notebook_complete()
        return manager.nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Execute what papermill has prepared.

        Raises:
            OperatorError: HF256, the execution is suspended, paused or cancelled; its text says how to go on. HF250, another worker
                has it. Whatever else stands in the way.
        """
        client_options = merge_kwargs(
            remove_args(["timeout", "startup_timeout", "input_path", "kernel_manager_class"], **kwargs),
            timeout=execution_timeout or kwargs.get("timeout"),
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            log=logger,
            log_output=log_output,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
        )
        base = working_folder()
        config = Config.load(folder=base)
        with _journal(config) as store:
            execution = _find_or_start(store, config, nb_man, kwargs.get("input_path"), base)
            options = Options(
                make_client=lambda nb: PapermillCells(nb_man, **client_options),
                notebook=nb_man.nb,
                write_output=False,
                stamp=False,
                allow_errors=bool(kwargs.get("allow_errors")),
                start_timeout=float(start_timeout),
                folder=str(Path.cwd()),
            )
            watcher = _Bridge(nb_man)
            result = execute(store, config, execution.id, options=options, watchers=[watcher], label="papermill")
        return _conclude(nb_man, result, watcher)


@contextlib.contextmanager
def _journal(config: Config) -> Iterator[Store]:
    store = open_store(config.journal, key_file=config.key_file, key=config.key)
    try:
        yield store
    finally:
        store.close()


class _Bridge(Watcher):
    """Tells papermill's manager what the engine does."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self.error: BaseException | None = None
        manager.lock = threading.RLock()

    def started(self, execution: Execution, manifest: Manifest, notebook: Any, resumed: bool) -> None:
        logger.info(f"Holdfast execution: {execution.id}" + (" (resumed: what is recorded is not run again)" if resumed else ""))

    def cell_started(self, index: int, step: str) -> None:
        self._manager.cell_start(self._manager.nb.cells[index], index)

    def cell_ended(self, index: int, step: str, state: str) -> None:
        cell = self._manager.nb.cells[index]
        if state == "failed":
            self._manager.cell_exception(cell, cell_index=index)
        if state in ("suspended", "cancelled", "fenced"):
            cell.metadata.papermill["status"] = self._manager.PENDING
            return
        self._manager.cell_complete(cell, cell_index=index)

    def step_ended(self, step: str, state: str, failure: Failure | None, retry_at: float | None) -> None:
        if failure is not None and retry_at is not None:
            logger.warning(f"Step {step} failed and is tried again: {failure.type}: {failure.what}")

    def note(self, text: str) -> None:
        logger.warning(text)


def _find_or_start(store: Store, config: Config, manager: Any, input_path: Any, base: Path) -> Execution:
    notebook, manifest = _pinned(manager.nb, input_path, base)
    given = _json(manager.nb.metadata.get("papermill", {}).get("parameters") or {})
    output = str(local_path(manager.output_path) or manager.output_path or "")
    identity = json.dumps([notebook.path, output, given, manifest.digest], sort_keys=True).encode()
    stem = "papermill:" + hashlib.blake2b(identity, digest_size=16).hexdigest()
    number = 0
    while (there := next(iter(store.headers(key=f"{stem}#{number}")), None)) is not None:
        if there.status not in (Status.SUCCEEDED, Status.CANCELLED):
            logger.info(
                f"Continuing the unfinished execution {there.id} ({there.status}); to start anew instead: holdfast cancel {there.id}"
            )
            return there
        number += 1
    prepared = Prepared(notebook=notebook, manifest=manifest, parameters=given, output=output or None, folder=str(Path.cwd()))
    execution, _ = start(store, config, prepared, key=f"{stem}#{number}", parent=config.execution, via="papermill")
    return execution


def _pinned(node: Any, input_path: Any, base: Path) -> tuple[Notebook, Manifest]:
    """The text to pin: as papermill has parameterised it, without what differs from run to run."""
    clean = copy.deepcopy(node)
    for cell in clean.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if "injected-parameters" in cell.metadata.get("tags", []):
                cell["id"] = "injected-parameters"
    clean.metadata.pop("papermill", None)
    clean.metadata.pop("widgets", None)
    place = str(input_path) if isinstance(input_path, str | Path) else None
    notebook = read(clean, name=Path(place).stem if place else "notebook")
    manifest = compile_notebook(notebook)
    for cell, known in zip(node.cells, notebook.content["cells"], strict=True):
        cell["id"] = known["id"]  # the output keeps the ids that the record is kept under
    node["nbformat_minor"] = max(5, node.get("nbformat_minor", 5))
    if place and "://" not in place:
        place = str((base / place).absolute())
    return msgspec.structs.replace(notebook, path=place), manifest


def _conclude(manager: Any, result: Result, watcher: _Bridge) -> Any:
    if result.status == Status.SUCCEEDED:
        return manager.nb
    if result.error is not None:
        raise result.error
    if result.status == Status.FAILED and _tells(manager.nb):
        return manager.nb
    manager.ended_early = True
    raise OperatorError(
        "HF256",
        f"the execution is {result.status}" + (f": {result.reason}" if result.reason else ""),
        cure="Run the same command again when it can go on"
        + (f"; answer first: holdfast answer {result.prompts[0]} ..." if result.prompts else "."),
        execution=result.execution,
    )


def _tells(notebook: Any) -> bool:
    """Whether papermill will find the failure by itself."""
    return any(o.output_type == "error" for c in notebook.cells for o in c.get("outputs", []))


def _json(value: Any) -> Any:
    return json.loads(json.dumps(dict(value), default=str))


def working_folder() -> Path:
    """Where papermill was called; it may have gone to ``--cwd`` since."""
    from papermill.iorw import papermill_io

    handler = papermill_io.get_handler("a.ipynb")
    return Path(getattr(handler, "_cwd", None) or Path.cwd()).absolute()


def local_path(place: str | None) -> Path | None:
    """The file that ``place`` is, seen from where papermill was called; None when it is no local file."""
    from papermill.iorw import LocalHandler, papermill_io

    if place is None or not isinstance(papermill_io.get_handler(place), LocalHandler):
        return None
    return working_folder() / place

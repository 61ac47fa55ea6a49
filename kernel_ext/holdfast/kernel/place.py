"""Where this kernel stands: an engine's kernel, a notebook open in JupyterLab, or neither (headless, a console)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError
from holdfast.foundation.rereading import Stamp, stamp_of

if TYPE_CHECKING:
    from holdfast.journal.store import Store
    from holdfast.model.execution import Execution
    from holdfast.model.manifest import Cell, Manifest
    from holdfast.notebook.reader import Notebook


def own_tables(store: Store, header: Execution) -> tuple[Path, ...]:
    """The tables of shell commands that the execution's runbook brings along (``metadata.holdfast.commands``)."""
    if header.notebook is None:
        return ()
    from holdfast.notebook.commands import tables_of

    metadata = json.loads(bytes(store.blobs.get(header.notebook))).get("metadata") or {}
    about = metadata.get("holdfast")
    return tables_of(about, header.path) if isinstance(about, dict) else ()


class Place:
    """The notebook file behind the kernel, read anew when it was saved since.

    Args:
        path: of the notebook, as the front-end gave it; None when it gave none.
    """

    def __init__(self, path: str | None) -> None:
        self.path = str(Path(path).absolute()) if path else None
        self.problem: HoldfastError | None = None  # why there is no manifest
        self._stamp: Stamp | None = None
        self._notebook: Notebook | None = None
        self._manifest: Manifest | None = None
        self._steps: dict[str, str] = {}
        self._positions: dict[str, int] = {}

    @property
    def notebook(self) -> Notebook | None:
        """The notebook as last saved, when it can be read."""
        self._look()
        return self._notebook

    @property
    def manifest(self) -> Manifest | None:
        """What it compiles to; None when it does not."""
        self._look()
        return self._manifest

    @property
    def tagged(self) -> bool:
        """Whether the author named steps; else every cell is one."""
        manifest = self.manifest
        return manifest is not None and any(len(s.cells) > 1 or s.name != s.cells[0].id for s in manifest.steps if s.cells)

    def step_of(self, key: str) -> str | None:
        """The step that the cell belongs to; None for a cell the file does not hold (yet)."""
        self._look()
        return self._steps.get(key)

    def above(self, key: str) -> frozenset[str] | None:
        """The cells above ``key`` in the file; None when it is not in the file."""
        self._look()
        position = self._positions.get(key)
        return None if position is None else frozenset(k for k, p in self._positions.items() if p < position)

    def cells_of(self, step: str) -> tuple[Cell, ...]:
        """The step's cells in the file."""
        manifest = self.manifest
        found = manifest.step(step) if manifest else None
        return found.cells if found else ()

    def counted_cells(self) -> tuple[tuple[str, Cell], ...]:
        """The cells, with their step, that must be recorded for the whole to have succeeded."""
        manifest = self.manifest
        if manifest is None:
            return ()
        wanted = [s for s in manifest.steps if not s.skip and s.teardown_of is None]
        return tuple((s.name, c) for s in wanted for c in s.cells if c.source.strip())

    def _look(self) -> None:
        if self.path is None:
            return
        try:
            stamp = stamp_of(Path(self.path))
        except OSError:
            return  # moved or deleted while open: what was read last is as good as any
        if stamp == self._stamp:
            return
        self._stamp = stamp
        from holdfast.notebook.compile import compile as compiled
        from holdfast.notebook.reader import read

        try:
            self._notebook = notebook = read(Path(self.path))
            self._positions = {c.id: c.index for c in notebook.code_cells}
            self._manifest, self.problem = compiled(notebook), None
            self._steps = {c.id: s.name for s in self._manifest.steps for c in s.cells}
        except HoldfastError as error:
            self._manifest, self.problem, self._steps = None, error, {}

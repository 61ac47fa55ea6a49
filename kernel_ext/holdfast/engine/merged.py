"""The output notebook where several processes work on one execution: each writes what all of them have recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
from nbformat import NotebookNode, from_dict

from holdfast.engine.output import Output
from holdfast.executions.evidence import outputs_of
from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.model.entry import Kind


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A cell as the journal has it."""

    outputs: list[dict[str, Any]]
    count: int | None
    failed: bool
    at: float


def recorded(store: Store, execution: str, step: str, after: int) -> tuple[int, dict[str, Recorded]]:
    """Cells that others have recorded.

    Args:
        step: whose cells are this process's own.
        after: the last entry that is known.

    Returns:
        the last entry, and cell id -> its last record.
    """
    found: dict[str, Recorded] = {}
    for entry in store.read(execution, after=after, kinds=(Kind.CELL_COMPLETED, Kind.STEP_FAILED)):
        after, body = entry.seq, entry.data
        failed = entry.kind == Kind.STEP_FAILED
        key = (body.get("cell") or entry.key or "") if failed else entry.key or ""
        if entry.step != step and key:
            outputs = outputs_of(store, body.get("outputs"))
            found[key] = Recorded(outputs=outputs, count=body.get("execution_count"), failed=failed, at=entry.at)
    return after, found


class SharedOutput(Output):
    """Fills the cells of other processes' steps in from the journal, each time it is written.

    Args:
        look: last known entry -> the last one now, and what was recorded since.
    """

    def __init__(
        self,
        notebook: NotebookNode,
        place: str | None,
        lock: threading.RLock,
        shown: str | None,
        look: Callable[[int], tuple[int, dict[str, Recorded]]],
    ) -> None:
        super().__init__(notebook, place, lock, shown)
        self._look, self._known = look, 0

    def write(self) -> None:
        """Until nothing was recorded while it was written: whoever writes last has it all.

        Raises:
            OperatorError: HF252. StoreError: the journal cannot be read.
        """
        known, found = self._look(self._known)
        while True:
            self._fill(found)
            super().write()
            self._known = known
            known, found = self._look(known)
            if not found:
                return

    def _fill(self, found: dict[str, Recorded]) -> None:
        with self._lock:
            for cell in self.notebook.cells:
                known = found.get(cell.get("id", ""))
                if known is None:
                    continue
                cell.outputs, cell.execution_count = [from_dict(o) for o in known.outputs], known.count  # type: ignore[no-untyped-call]
                stamp = cell.metadata.setdefault("papermill", {})
                stamp.update(status="failed" if known.failed else "completed", exception=known.failed, end_time=clock.iso(known.at))
                record = cell.metadata.setdefault("holdfast", {}).setdefault("record", {})
                record["state"] = "failed" if known.failed else "ran"

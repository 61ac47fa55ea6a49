"""Tells what a cell has published while it runs: at most once a second, and nothing of cells that are through sooner."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from holdfast.errors import HoldfastError
from holdfast.executions.live import LiveOutputs, forget, tell
from holdfast.foundation import clock
from holdfast.kernel.outputs import SHOWN

if TYPE_CHECKING:
    from holdfast.kernel.outputs import OutputLog
    from holdfast.kernel.session import Session

_PERIOD: Final = 1.0  # seconds


class _Cell:
    """One cell that runs."""

    def __init__(self, log: OutputLog, step: str, key: str, started_at: float) -> None:
        self.log, self.step, self.key, self.started_at = log, step, key, started_at
        self.ended = threading.Event()
        self.told = 0  # the log's count of changes when it was last told


class LiveTeller:
    """Follows the cells of one kernel, one after the other.

    Args:
        session: of the kernel; its execution is held while a cell runs.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cell: _Cell | None = None
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._telling = threading.Lock()

    def follow(self, log: OutputLog, step: str, key: str, started_at: float) -> None:
        """A cell begins."""
        self._changed.clear()
        self._cell = _Cell(log, step, key, started_at)
        log.on_change = self._changed.set
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="holdfast-live", daemon=True)
            self._thread.start()

    def recorded(self) -> None:
        """The cell has left its record: that is what is shown from now on."""
        cell = self._leave()
        if cell is not None and cell.told and self._session.holding is not None:
            with contextlib.suppress(HoldfastError):
                forget(self._session.store, self._session.holding.header.id, cell.step, cell.key)

    def waiting(self) -> None:
        """The cell leaves no record because it waits: what it has shown so far stays."""
        cell = self._leave()
        if cell is not None:
            self._tell(cell, at_end=True)

    def _leave(self) -> _Cell | None:
        cell, self._cell = self._cell, None
        if cell is not None:
            cell.ended.set()
            with self._telling:  # what is being told is told before it is forgotten
                pass
        return cell

    def _run(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            cell = self._cell
            if cell is not None and not cell.ended.wait(_PERIOD):
                self._tell(cell)

    def _tell(self, cell: _Cell, *, at_end: bool = False) -> None:
        with self._telling:
            held, count = self._session.holding, cell.log.changes
            if held is None or held.lost.is_set() or count == cell.told or (cell.ended.is_set() and not at_end):
                return
            outputs = [o for o in cell.log.events() if o["type"] in SHOWN]
            shown = LiveOutputs(
                step=cell.step,
                cell=cell.key,
                started_at=cell.started_at,
                at=clock.now(),
                outputs=self._session.recorder.redact(outputs),
            )
            with contextlib.suppress(HoldfastError):  # the journal is away: the record will tell
                tell(self._session.store, held.header.id, shown)
                cell.told = count

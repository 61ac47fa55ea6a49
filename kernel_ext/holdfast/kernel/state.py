"""The namespace of this kernel and the records that made it: which deltas are in it, which are still to be applied."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from holdfast.checkpoint.report import Flag
from holdfast.kernel.place import Place
from holdfast.kernel.records import CellRecord, RecordBook
from holdfast.kernel.request import CellRequest

if TYPE_CHECKING:
    from holdfast.checkpoint.checkpointer import Checkpointer

_WORDS = re.compile(r"[^\W\d]\w*")


class State:
    """Keeps the namespace in step with the records.

    Args:
        checkpointer: of this kernel's namespace, started.
        place: whose cells stand above which.
    """

    def __init__(self, checkpointer: Checkpointer, place: Place) -> None:
        self.checkpointer = checkpointer
        self._place = place
        self._applied: set[int] = set()  # by seq
        self._failed: str | None = None  # label of the failed cell whose changes are in the namespace, unrecorded
        self._failed_source = ""
        self.residue: list[tuple[str, bytes, str]] = []  # label, delta and source of failed cells whose changes are not recorded yet

    def has(self, record: CellRecord) -> bool:
        """Whether what the record changed is in the namespace."""
        return record.seq in self._applied

    def holds(self, seq: int) -> None:
        """The cell recorded at ``seq`` ran here."""
        self._applied.add(seq)
        self.residue.clear()

    def apply(self, records: Iterable[CellRecord]) -> int:
        """Bring in what is not there yet; returns how many records that were."""
        count = 0
        for record in records:
            if record.seq in self._applied:
                continue
            for label, delta in record.deltas():
                self.checkpointer.apply(label, delta)
            self._applied.add(record.seq)
            count += 1
        return count

    def needed_before(self, request: CellRequest, book: RecordBook, skipped: CellRecord | None) -> list[CellRecord]:
        """The records to apply before the cell runs, or before it is skipped with ``skipped``.

        The engine names the steps. A person may run any cell: the state is then that of the cells above it in the notebook, with
        everything that was recorded before the last of these, since deltas build on one another.
        """
        if request.engine:
            named = [r for step in request.ancestors for r in book.of_step(step)]
            return named + [r for r in book.of_step(request.step) if skipped is None or r.seq < skipped.seq]
        everything = book.in_order()
        above = self._place.above(request.key)
        others = [r for r in everything if r.key != request.key]
        wanted = [r.seq for r in others if above is None or r.key in above]
        until = max(wanted, default=0)
        if skipped is not None:
            until = max(until if above is not None else 0, skipped.seq - 1)
        return [r for r in others if r.seq <= until]

    def bring(self, code: str) -> None:
        """Load what ``code`` mentions."""
        names = frozenset(_WORDS.findall(code))
        if names:
            self.checkpointer.materialise(names)

    # -- failed cells: their changes are undone when the cell runs again, and become part of the next record when another does

    def failed(self, label: str, source: str) -> None:
        """A cell failed; what it changed stays for the person to look at."""
        self._failed, self._failed_source = label, source

    def settle(self, request: CellRequest) -> list[Flag]:
        """Before a cell runs: undo what it did when it failed just before; returns what of that cannot be undone in this process.

        What *another* failed cell left behind is put away, to be recorded with the next cell that succeeds.
        """
        failed, self._failed = self._failed, None
        if failed is None:
            return []
        if failed.startswith(f"{request.key}@"):
            return self._rollback()[1]
        self.residue.append((failed, self.checkpointer.capture(failed).delta, self._failed_source))
        return []

    def undo(self) -> bool:
        """Undo a failed cell at once; False when that needs a new process."""
        self._failed = None
        return self._rollback()[0]

    def _rollback(self) -> tuple[bool, list[Flag]]:
        """Whether all is as it was, and what is not. That something cannot be undone must not keep the cell from running again."""
        try:
            report = self.checkpointer.rollback()
        except Exception as error:
            why = f"the failed cell could not be undone ({type(error).__name__}: {error})"
            return False, [Flag("the namespace", why, "restart the kernel")]
        return not report.needs_restart, report.flags


def namespace_of(shell: Any) -> dict[str, Any]:
    """The shell's user namespace."""
    return shell.user_ns  # type: ignore[no-any-return]

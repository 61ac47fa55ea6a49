"""Runs a recorded cell again to make anew what could not be stored: nothing is shown, and every call is answered from the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.durable.cell import CellContext
from holdfast.errors import OperatorError

if TYPE_CHECKING:
    from holdfast.kernel.session import Session


class KernelReplayer:
    """The checkpoint room's ``Replayer`` in a kernel.

    Args:
        session: of this kernel.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def replay(self, cell: str) -> None:
        """Run the cell recorded under the label ``cell`` in the present namespace.

        Raises:
            OperatorError: HF241, its source is not in the journal.
            AuthorError: HF153, it makes a call that is not recorded.
            BaseException: whatever it raises now.
        """
        session = self._session
        record = session.book.version(cell)
        source = record.source if record is not None else None
        if record is None or source is None:
            raise OperatorError("HF241", "a cell that is needed to restore the namespace is not in the journal", cell=cell)
        context = CellContext(step=record.step, cell=record.key, source_digest=record.digest, step_attempt=record.attempt, mode="restore")
        from holdfast.kernel.quiet import run_quietly

        with session.recorder.restoring(context):
            run_quietly(session.shell, source)

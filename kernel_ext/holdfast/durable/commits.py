"""Commits of several threads in one transaction: whoever comes first writes for all who wait."""

from __future__ import annotations

import threading

from holdfast.journal.writer import Writer
from holdfast.model.entry import Draft


class _Batch:
    __slots__ = ("done", "drafts", "error")

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.done = False
        self.error: BaseException | None = None


class Committer:
    """Appends drafts durably; keeps cheap ones for the next commit.

    Args:
        writer: the execution's journal.
    """

    def __init__(self, writer: Writer) -> None:
        self._append = writer.append_all
        self._mutex = threading.Lock()  # guards the two below, held briefly
        self._turn = threading.Lock()  # held while writing
        self._batch = _Batch()
        self._kept: list[Draft] = []

    def keep(self, draft: Draft) -> None:
        """Write it with the next commit."""
        with self._mutex:
            self._kept.append(draft)

    def take(self) -> list[Draft]:
        """What waits, for the caller to commit."""
        with self._mutex:
            kept, self._kept = self._kept, []
        return kept

    def flush(self) -> None:
        """Commit what waits."""
        if self._kept:
            self.commit()

    def commit(self, *drafts: Draft) -> None:
        """Write ``drafts`` after what waits; returns when all is durable.

        Raises:
            Fenced, StoreError: nothing was written (what waited waits on).
        """
        with self._mutex:
            batch = self._batch
            batch.drafts.extend(drafts)
        with self._turn:
            if not batch.done:
                self._write(batch)
        if batch.error is not None:
            raise batch.error

    def _write(self, batch: _Batch) -> None:
        with self._mutex:
            self._batch = _Batch()
            kept, self._kept = self._kept, []
        try:
            drafts = kept + batch.drafts if kept else batch.drafts
            if drafts:
                self._append(drafts)
        except BaseException as error:
            batch.error = error
            with self._mutex:
                self._kept = kept + self._kept
        batch.done = True

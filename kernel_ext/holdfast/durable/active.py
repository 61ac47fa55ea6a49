"""A cell while it runs: its context, lanes, index and tallies."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from holdfast.durable.cell import CellContext, Planned
from holdfast.durable.identity import scope_of
from holdfast.durable.index import KINDS, StepIndex
from holdfast.durable.lanes import Lane
from holdfast.model.entry import Draft

if TYPE_CHECKING:
    from holdfast.durable.targets import Targets
    from holdfast.journal.writer import Writer


class ActiveCell:
    """Created by ``Recorder.begin``. The index is read at the first call.

    Args:
        context: as the kernel gave it.
        writer: where the journal is.
    """

    __slots__ = (
        "_index",
        "_scopes",
        "_writer",
        "calls",
        "context",
        "epoch",
        "lock",
        "main",
        "matters",
        "notes",
        "offsets",
        "plan",
        "readings",
        "replayed",
        "stopped",
        "targets",
        "undeclared",
    )

    def __init__(self, context: CellContext, writer: Writer) -> None:
        self.context, self._writer = context, writer
        self.lock = threading.RLock()
        self.main = Lane()
        self.calls = self.replayed = 0
        self.stopped = False  # told to end: it makes no more calls
        self.epoch = -1  # `calls` when the readings below were begun to be counted
        self.readings: dict[str, int] = {}  # see durable.cheap
        self.offsets: dict[str, float] = {}  # see durable.clock: what a counter is ahead of this process's own
        self.plan: list[Planned] = []
        self.undeclared: dict[str, None] = {}  # in order, once each
        self.notes: list[Draft] = []
        self.targets: list[Targets] = []  # sets that the cell's code can touch
        self.matters: dict[str, None] = {}  # keys of the pending matters that a lane was suspended for
        self._index: StepIndex | None = None
        self._scopes: dict[str, bytes] = {}

    @property
    def index(self) -> StepIndex:
        """The step's records; call with the lock held."""
        if self._index is None:
            kinds = [k for k in KINDS if k != "cell.completed"] if self.context.completed is not None else KINDS
            entries = self._writer.store.read(self._writer.execution, step=self.context.step, kinds=kinds)
            self._index = StepIndex(entries, self.context)
        return self._index

    @property
    def loaded(self) -> StepIndex | None:
        """The index if any call was made."""
        return self._index

    def scope(self, lane: Lane) -> bytes:
        """What calls of this lane are hashed with."""
        scope = self._scopes.get(lane.scope)
        if scope is None:
            scope = self._scopes[lane.scope] = scope_of(self.context.step, self.index.epoch, lane.scope)
        return scope

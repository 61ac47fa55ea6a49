"""The durable side of one kernel: opened at the first cell that is to be recorded, never before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from holdfast.access.people import People
from holdfast.durable.recorder import Recorder
from holdfast.errors import Fenced, HoldfastError, OperatorError
from holdfast.guardrails.guard import guard_of
from holdfast.guardrails.settings import GuardrailsFile
from holdfast.journal import ownership
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.kernel import holding, notices
from holdfast.kernel.holding import Holding
from holdfast.kernel.notices import Bundle
from holdfast.kernel.place import Place, own_tables
from holdfast.kernel.records import RecordBook
from holdfast.kernel.request import Requests
from holdfast.kernel.state import State, namespace_of
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Mode, Status
from holdfast.model.policy import Retry

if TYPE_CHECKING:
    from holdfast.config import Config


class Session:
    """What one kernel holds open: journal, execution, records, recorder, state.

    Args:
        shell: IPython's shell of this kernel.
        config: the settings.
        path: of the notebook, as the front-end gave it.
    """

    def __init__(self, shell: Any, config: Config, path: str | None) -> None:
        self.shell, self.config = shell, config
        self.place = Place(path)
        self.requests = Requests(self.place)
        self.notices: list[Bundle] = []  # for the next cell
        self.recorder = Recorder(
            owner=ownership.this_process(self.label).text,
            state_dir=config.state_dir,
            retry=Retry(count=config.retry_count, delay=config.retry_delay, max_delay=config.retry_max_delay),
            hold=config.hold_for,
            max_value_bytes=config.max_value_bytes,
        )
        self.recorder.attended = config.fence is None
        self.recorder.sends_keys = config.idempotency_header
        self.recorder.groups = lambda: People.load(config.policy_file).groups
        self.recorder.config = config
        self._guardrails = GuardrailsFile(config.guardrails_file)
        self._store: Store | None = None
        self._holding: Holding | None = None
        self._book: RecordBook | None = None
        self._state: State | None = None
        self.broken: BaseException | None = None  # why the namespace can no longer be told
        self._unwritten: tuple[list[Draft], Change | None] | None = None  # the record of a cell that ran while the journal was away
        self._baseline: frozenset[str] | None = None  # names that were there before any recorded cell
        holding.at_fork(lambda: self._holding)

    @property
    def store(self) -> Store:
        """The journal, opened when needed.

        Raises:
            HoldfastError: it cannot be.
        """
        if self._store is None:
            self._store = open_store(self.config.journal, key_file=self.config.key_file, key=self.config.key)
        return self._store

    @property
    def holding(self) -> Holding | None:
        """The execution this kernel writes to, once there is one."""
        return self._holding

    @property
    def book(self) -> RecordBook:
        """The execution's records."""
        assert self._book is not None
        return self._book

    @property
    def state(self) -> State:
        """The namespace and the records in it."""
        assert self._state is not None
        return self._state

    @property
    def label(self) -> str:
        """What other workers are told this is."""
        return "lab" if self.place.path else "kernel"

    def ready(self) -> Holding:
        """The execution, taken or begun when there is none yet.

        Raises:
            HoldfastError: the journal cannot be opened, or another worker has the execution.
            Fenced: the lease was lost.
        """
        held = self._holding
        if held is None:
            if self.config.execution is not None and self.config.fence is not None:
                held = holding.given(self.store, self.config)
            elif self.config.execution is not None:
                held = holding.taken(self.store, self.config, self.config.execution, self.label)
            else:
                held = self._latest() or holding.begun(self.store, self.config, self.place, self.label)
            self._adopt(held)
        held.check()
        return held

    def commit(self, drafts: list[Draft], change: Change | None) -> None:
        """Write the record of a cell. When the journal cannot take it now, it is written before the next cell.

        Raises:
            StoreError: it cannot.
            Fenced: another worker has the execution.
        """
        assert self._holding is not None
        self._unwritten = drafts, change
        seq = self._holding.writer.append_all(drafts, change=change)
        self._unwritten = None
        index = next(n for n, draft in enumerate(drafts) if draft.kind == Kind.CELL_COMPLETED)
        self.state.holds(seq - (len(drafts) - 1 - index))
        if change is not None and change.status is not None:
            self._holding.took(change.status)

    def catch_up(self) -> None:
        """Before a cell: write what could not be written.

        Raises:
            OperatorError: HF244, the state that the last cell left could not be put away.
            StoreError: the journal is still away.
        """
        if self.broken is not None:
            raise OperatorError(
                "HF244",
                f"what the last cell left in memory could not be put away ({self.broken})",
                cure="Restart the kernel and run all: what is recorded is resumed, calls are not made again.",
            )
        if self._unwritten is not None:
            self.commit(*self._unwritten)

    def _latest(self) -> Holding | None:
        """The unfinished execution of this notebook. One that lacks nothing any more (the last edit was saved after its cell ran) ends
        here, so that "Run All" in a new kernel begins anew, as after any other end."""
        found = holding.unfinished(self.store, self.config, self.place)
        if found is None:
            return None
        held = holding.taken(self.store, self.config, found.id, self.label, path=self.place.path)
        book = RecordBook(self.store, found.id)
        book.refresh()
        done, total = self.progress(book)
        if total is None or done < total:
            return held
        held.append_state(Kind.EXECUTION_SUCCEEDED, Status.SUCCEEDED, {})
        held.release()
        return None

    def _adopt(self, held: Holding) -> None:
        """Write to ``held`` from now on."""
        from holdfast.checkpoint import sealing
        from holdfast.checkpoint.checkpointer import Checkpointer
        from holdfast.kernel.replayer import KernelReplayer

        sealing.recall = _recall
        book = RecordBook(self.store, held.header.id)
        book.refresh()
        self.recorder.attach(held.writer)
        for name in held.header.secrets:
            if isinstance(value := held.header.parameters.get(name), str):
                self.recorder.redactor.register(value)
        self.recorder.find_tables = lambda: own_tables(self.store, held.header)
        self.recorder.guard = guard_of(self.store, held.header, self._guardrails, self.place.notebook)
        namespace = namespace_of(self.shell)
        if self._baseline is None:
            self._baseline = frozenset(namespace)
        for name in [n for n in namespace if n not in self._baseline and not n.startswith("_i")]:
            del namespace[name]  # of the execution before: the next one's records must tell all there is
        checkpointer = Checkpointer(namespace, self.store.blobs, replayer=KernelReplayer(self))
        checkpointer.start()
        self.recorder.materialise = lambda name: checkpointer.materialise([name])
        self._state = State(checkpointer, self.place)
        self._unwritten = self.broken = None
        self._holding, self._book = held, book
        if held.own and held.resumed and (book.in_order() or held.moved_from):
            self.notices.append(self._banner(held, book))
        if self.place.problem is not None and held.own:
            problem = self.place.problem
            self.notices.append(notices.notice(f"{problem.code}: {problem.what}", [problem.cure], tone="wait"))

    def _banner(self, held: Holding, book: RecordBook) -> Bundle:
        done, total = self.progress(book)
        return notices.resumed(held.header.id, held.header.runbook, done, total, moved_from=held.moved_from)

    def progress(self, book: RecordBook | None = None) -> tuple[int, int | None]:
        """How many steps are recorded, of how many (None when the notebook file cannot tell)."""
        book = book or self.book
        cells = self.place.counted_cells()
        if not cells:
            return len({r.step for r in book.in_order() if r.step not in ("setup", "parameters")}), None
        missing = {step for step, cell in cells if not self._counts(book, step, cell.id, cell.digest)}
        steps = {step for step, _ in cells}
        return len(steps - missing), len(steps)

    def complete(self, step: str, key: str, digest: str) -> bool:
        """Whether the given cell is in the notebook file and all of the file's cells are recorded once it is."""
        cells = self.place.counted_cells()
        rest = [(s, c) for s, c in cells if not (s == step and c.id == key and c.digest == digest)]
        return len(rest) < len(cells) and all(self._counts(self.book, s, c.id, c.digest) for s, c in rest)

    @staticmethod
    def _counts(book: RecordBook, step: str, key: str, digest: str) -> bool:
        if book.skipped(step) is not None:
            return True
        record = book.find(step, key)
        return record is not None and record.digest == digest

    # -- what a person may ask for

    def begin_anew(self) -> Holding:
        """Leave the present execution and begin another."""
        former = self._holding or self._latest()
        if former is not None and not former.ended:
            former.append_state(
                Kind.EXECUTION_CANCELLED, Status.CANCELLED, {"why": "%holdfast new"}, "a new execution was begun in its place"
            )
        if former is not None:
            former.release()
        held = holding.begun(self.store, self.config, self.place, self.label)
        self._adopt(held)
        return held

    def resume(self, execution: str) -> Holding:
        """Leave the present execution as it is and go on with another.

        Raises:
            HoldfastError: see :func:`holding.taken`.
        """
        held = holding.taken(self.store, self.config, execution, self.label)
        self._suspend("left for another execution (%holdfast resume)")
        self._adopt(held)
        return held

    def close(self, *, busy: bool) -> None:
        """The kernel ends. A cell that still runs keeps the lease until its process is gone. Never raises."""
        if not busy:
            self._suspend("the kernel was shut down")
        store, self._store = self._store, self._store if busy else None
        if store is not None and not busy:
            try:
                store.close()
            except HoldfastError:
                pass

    def _suspend(self, reason: str) -> None:
        held = self._holding
        if held is None or not held.own or _forked(held):
            self._holding = None
            return
        try:
            if self._unwritten is not None and self.broken is None:
                self.catch_up()
            if not held.ended and not held.lost.is_set():
                status = Status.SUSPENDED if self.place.path or held.header.mode is Mode.SHELL else self._headless_end()
                kind = {Status.SUSPENDED: Kind.EXECUTION_SUSPENDED, Status.SUCCEEDED: Kind.EXECUTION_SUCCEEDED}.get(
                    status, Kind.EXECUTION_FAILED
                )
                held.writer.append(kind, {"reason": reason}, change=Change(status=status, reason=reason))
        except (HoldfastError, Fenced):
            pass
        self._holding = None
        held.release()

    def _headless_end(self) -> Status:
        """Without a notebook file nobody can come back to it: it ends as its cells did."""
        self.book.refresh()
        return Status.FAILED if any(True for _ in self.book.failed_steps()) else Status.SUCCEEDED


def _forked(held: Holding) -> bool:
    return held.pid != os.getpid()


def _recall(reference: str) -> str:
    from holdfast.durable.references import secret

    return secret(reference)

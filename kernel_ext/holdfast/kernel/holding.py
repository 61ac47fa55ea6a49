"""The kernel's hold on its execution: given by the engine, or claimed and renewed by the kernel itself."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.errors import Fenced, HoldfastError, LookupFailedError, OperatorError
from holdfast.foundation import clock, faults, process
from holdfast.journal import ownership
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.kernel import moved
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Mode, Status, new_id
from holdfast.model.lease import Lease

if TYPE_CHECKING:
    from holdfast.config import Config
    from holdfast.kernel.place import Place

#: After these an interactive kernel goes on with the execution instead of beginning one.
_UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.PAUSED)


class Holding:
    """One execution, and the right to write to it.

    Args:
        store: the journal.
        header: the execution as it was when taken.
        fence: under which this kernel writes.
        actor: who acts, for the record.
        lease: to renew; None when the engine renews it.
        ttl: seconds.
        resumed: whether the execution had begun before.
    """

    def __init__(
        self,
        store: Store,
        header: Execution,
        fence: int,
        actor: str,
        *,
        lease: Lease | None = None,
        ttl: float = 30.0,
        resumed: bool = False,
    ) -> None:
        self.store, self.header, self.resumed = store, header, resumed
        self.writer = Writer(store, header.id, fence, actor)
        self.moved_from: str | None = None  # where the notebook lay when it was last worked on, if that was elsewhere
        self.pid = os.getpid()
        self.lost = threading.Event()
        self.running = False  # a cell runs now: losing the lease interrupts it
        self._lease, self._ttl = lease, ttl
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def own(self) -> bool:
        """Whether this kernel is the worker itself, with no engine above it."""
        return self._lease is not None

    @property
    def ended(self) -> bool:
        """Whether the execution is known to have come to its end."""
        return self.header.status.ended

    def check(self) -> None:
        """Raise ``Fenced`` when the lease is known to be lost."""
        if self.lost.is_set():
            raise Fenced("another worker has taken this execution over", execution=self.header.id)

    def start_renewing(self) -> None:
        """Renew in a thread of its own, so that a long cell keeps its execution."""
        if self._lease is None or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._renew, name="holdfast-lease", daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        assert self._lease is not None
        while not self._stop.wait(self._ttl / 3):
            faults.point("lease.during_renewal")
            try:
                self._lease = self.store.renew(self._lease, self._ttl)
            except Fenced:
                if not self._stop.is_set():
                    self.lost.set()
                    if self.running:
                        os.kill(os.getpid(), signal.SIGINT)  # what the cell does next must not happen
                return
            except HoldfastError:
                continue  # the journal is away; appends say so, and the fence decides in the end

    def append_state(self, kind: Kind, status: Status, body: dict[str, Any], reason: str = "", *, path: str | None = None) -> None:
        """Write one entry about the execution itself, with its new status and, when given, the notebook's new path."""
        change = Change(status=status, reason=reason, path=path)
        if status in (Status.SUCCEEDED, Status.CANCELLED):
            from holdfast.prompts.answering import end_with

            end, who = Draft(kind=kind, body=body, actor=self.writer.actor), self.writer.actor
            end_with(
                self.store,
                self.header.id,
                lambda drafts, closes: self.writer.append_all((end, *drafts), change=change, closes=closes),
                who=who,
                why=f"the execution is {status}",
            )
        else:
            self.writer.append(kind, body, change=change)
        self.took(status)
        if path is not None:
            self.header = msgspec.structs.replace(self.header, path=path)

    def took(self, status: Status) -> None:
        """Note the status that an append of somebody here has set."""
        if status != self.header.status:
            self.header = msgspec.structs.replace(self.header, status=status)

    def release(self) -> None:
        """Stop renewing and give the lease back; never raises: the lease runs out by itself."""
        self._stop.set()
        lease, self._lease = self._lease, None
        if lease is None or self.lost.is_set():
            return
        try:
            self.store.release(lease)
        except (HoldfastError, Fenced):
            pass


def given(store: Store, config: Config) -> Holding:
    """The execution the engine started this kernel for.

    Raises:
        LookupFailedError: HF601, the journal has no such execution.
    """
    assert config.execution is not None
    header = _header(store, config.execution)
    return Holding(store, header, config.fence or header.fence, config.user, resumed=True)


def taken(store: Store, config: Config, execution: str, label: str, *, path: str | None = None) -> Holding:
    """An execution by its id, taken over.

    Args:
        path: where its notebook lies now; noted in the header when that is elsewhere than before. None leaves it as it is.

    Raises:
        LookupFailedError: HF601, no such execution.
        OperatorError: HF250, another worker has it; HF240, it has ended.
    """
    header = _header(store, execution)
    if header.status in (Status.SUCCEEDED, Status.CANCELLED):
        raise OperatorError("HF240", f"the execution has {header.status}", cure="Begin a new one with %holdfast new.", execution=header.id)
    return _claimed(store, config, header, label, resumed=True, path=path)


def latest(store: Store, path: str) -> Execution | None:
    """The unfinished interactive execution of this notebook, when the latest one is unfinished."""
    found = [h for h in store.headers(path=path, newest_first=True, limit=20) if h.mode is Mode.INTERACTIVE]
    newest = max(found, key=lambda h: h.created_at, default=None)  # ids of one second sort by chance
    return newest if newest is not None and newest.status in _UNFINISHED else None


def unfinished(store: Store, config: Config, place: Place) -> Execution | None:
    """The execution that this notebook's next cell goes on with: its own, or the one begun before the notebook was moved here."""
    if place.path is None:
        return None
    return latest(store, place.path) or moved.find(store, config, place)


def begun(store: Store, config: Config, place: Place, label: str) -> Holding:
    """A new interactive execution; the notebook's text is pinned when there is a file."""
    now = store.now()
    notebook = place.notebook
    pinned = store.blobs.put(notebook.text().encode()) if notebook is not None else None
    name = notebook.name if notebook is not None else "session"
    header = Execution(
        id=new_id(now),
        runbook=name,
        path=place.path,
        notebook=pinned,
        mode=Mode.INTERACTIVE,
        status=Status.RUNNING,
        created_at=now,
        updated_at=now,
        started_by=config.user,
    )
    body = {"runbook": name, "path": place.path, "mode": Mode.INTERACTIVE.value, "host": process.host()}
    header = store.create(header, [Draft(kind=Kind.EXECUTION_CREATED, body=body, actor=config.user)])
    return _claimed(store, config, header, label, resumed=False)


def _claimed(store: Store, config: Config, header: Execution, label: str, *, resumed: bool, path: str | None = None) -> Holding:
    owner = ownership.this_process(label)
    lease = ownership.take(store, header.id, owner, config.lease_ttl)
    header = store.header(header.id) or header
    holding = Holding(store, header, lease.fence, config.user, lease=lease, ttl=config.lease_ttl, resumed=resumed)
    if resumed:
        body = {"owner": owner.text, "fence": lease.fence, "at": clock.now()}
        if path is not None and path != header.path:
            body |= {"path": path, "moved_from": header.path}
            holding.moved_from = header.path
        else:
            path = None
        holding.append_state(Kind.EXECUTION_STARTED, Status.RUNNING, body, path=path)
    holding.start_renewing()
    return holding


def _header(store: Store, execution: str) -> Execution:
    header = store.header(execution)
    if header is None:
        raise LookupFailedError("HF601", "no such execution", cure="`holdfast list` shows all.", execution=execution)
    return header


def at_fork(holding: Callable[[], Holding | None]) -> None:
    """A forked child is no worker: whatever it writes is refused."""

    def child() -> None:
        held = holding()
        if held is not None:
            held.lost.set()

    os.register_at_fork(after_in_child=child)

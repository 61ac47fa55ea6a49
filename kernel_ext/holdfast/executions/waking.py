"""What may be worked on now, and whose it is to continue: one lookup for all who do so, and one claim, so that one of them acts.

The callers differ only in what "continue" means to them: a worker starts a thread, the engine of a parent works on its children beside
it, Dagster resumes a run. A gateway only asks whether there is anything for a worker to do.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.executions.family import ancestors
from holdfast.foundation import plugins, process
from holdfast.journal.errors import OnceTaken
from holdfast.journal.ownership import gone, parse, unattended
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Mode, Status

#: Seconds after which whoever claimed a wake-up and brought nothing about is taken for dead.
_PATIENCE = 30.0
#: File in a scheduler's folder: the lock of whoever is about to look.
_TURN = ".wake.lock"
#: ``what`` of the note that says which scheduler drives an execution.
SCHEDULER = "scheduler"


class Scheduler(msgspec.Struct, frozen=True, kw_only=True):
    """Who drives an execution instead of a worker: Dagster, say."""

    launcher: str  # the name under which it is announced (``holdfast.launchers``)
    home: str  # its folder
    host: str

    @property
    def here(self) -> bool:
        """Whether it can be told from this machine."""
        return self.host == process.host() and Path(self.home).is_dir()


def due(
    store: Store, *, queued: bool = False, parent: str | None = None, leave: Collection[str] = (), limit: int | None = None
) -> list[Execution]:
    """Suspended executions whose answer, timer, signal or child is there, the longest due first; by index, however many are suspended.

    Args:
        queued: with those that were queued for a worker.
        parent: only what that execution has started.
        leave: ids that the caller does not want now; they do not count towards ``limit``.

    Raises:
        StoreError.
    """
    statuses = (Status.SUSPENDED, Status.QUEUED) if queued else (Status.SUSPENDED,)
    most = None if limit is None else limit + len(leave)
    found = store.headers(statuses=statuses, parent=parent, due_before=store.now(), newest_first=False, limit=most)
    return [h for h in found if h.id not in leave][:limit]


def orphans(store: Store, *, parent: str | None = None) -> list[Execution]:
    """Running executions whose worker is gone: its lease ran out, or its process on this machine has ended.

    Args:
        parent: only what that execution has started.

    Raises:
        StoreError.
    """
    now = store.now()
    running = store.headers(statuses=(Status.RUNNING,), parent=parent, newest_first=False)
    return [h for h in running if h.mode == Mode.BATCH and unattended(h, now, store.step_leases(h.id) if h.owner else ())]


def left_children(store: Store) -> list[Execution]:
    """Children that may go on, or whose worker is gone, while nobody works on their parent: no worker of the family will take them.

    Raises:
        StoreError.
    """
    found = []
    for header in [*due(store, queued=True), *orphans(store)]:
        above = store.header(header.parent) if header.parent is not None and header.mode == Mode.BATCH else None
        if above is not None and (above.status != Status.RUNNING or unattended(above, store.now(), store.step_leases(above.id))):
            found.append(header)
    return found


def scheduler_of(store: Store, id: str) -> Scheduler | None:
    """Who was the last scheduler to drive the execution, or else the nearest one above it that was driven by any; None: a worker's to
    continue.

    Raises:
        StoreError.
    """
    header = store.header(id)
    for one in (id, *(above.id for above in (ancestors(store, header) if header is not None else ()))):
        if told := _told(store, one):
            return Scheduler(**{name: str(told[-1].get(name) or "") for name in Scheduler.__struct_fields__})
    return None


def runs_of(store: Store, id: str, launcher: str) -> list[str]:
    """The runs in which that scheduler worked on the execution, the latest first, by its own ids.

    Raises:
        StoreError.
    """
    found = [str(n.get("run") or "") for n in reversed(_told(store, id)) if n.get("launcher") == launcher]
    return list(dict.fromkeys(run for run in found if run))


def _told(store: Store, id: str) -> list[dict[str, Any]]:
    """What schedulers wrote down about themselves."""
    return [n for e in store.read(id, kinds=(Kind.NOTE,)) if (n := e.data).get("what") == SCHEDULER]


def tell(scheduler: Scheduler, config: Config) -> bool:
    """Tell a scheduler of this machine to continue what is due, in a process of its own that is not waited for.

    One that has been started and has not looked yet serves all who tell the same scheduler meanwhile: it looks at everything.

    Returns:
        whether it could be told.
    """
    plugin = next((p for p in plugins.find("holdfast.launchers") if p.name == scheduler.launcher), None)
    if plugin is None or not scheduler.here:
        return False
    with _turn(Path(scheduler.home)) as turn:
        if turn is None:
            return True
        # it may take seconds to import what it needs, and the worker that it starts outlives it
        subprocess.Popen(
            [sys.executable, "-m", f"{plugin.target.partition('.')[0]}.wake", scheduler.home, *map(str, turn)],
            env=config.process_environment(),
            pass_fds=turn,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return True


@contextmanager
def _turn(home: Path) -> Iterator[tuple[int, ...] | None]:
    """The lock that whoever is about to look for a scheduler holds, for that process to inherit and to close before its look; None while
    another one has it. Empty where none can be kept."""
    try:
        lock = os.open(home / _TURN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a folder that cannot be written
        yield ()
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield None
    else:
        yield (lock,)
    finally:
        os.close(lock)  # ours; the process that was started has its own


def claim_wake_up(store: Store, id: str, by: str) -> bool:
    """Whether the caller is the one to start a worker for this suspension of the execution.

    The first to ask is, and is again when it asks again; another one is told no, unless nothing came of it for half a minute or the first
    is known to be gone. This spares needless workers only: two that start nevertheless are told apart by the lease.

    Args:
        by: who asks; an owner's text (``Owner.text``) where the caller is the worker itself.

    Raises:
        StoreError.
    """
    stops = store.read(id, kinds=(Kind.EXECUTION_SUSPENDED, Kind.EXECUTION_PAUSED, Kind.EXECUTION_RESUMED))
    last = stops[-1].seq if stops else 0
    attempt = 0
    while True:
        draft = Draft(kind=Kind.NOTE, body={"what": "waking", "by": by}, actor=by, once=f"wake:{last}:{attempt}")
        try:
            store.append(id, (draft,), fence=None)
        except OnceTaken as taken:
            first = str(taken.entry.data.get("by") or "")
            if first == by and parse(by) is not None:
                return True
            if store.now() - taken.entry.at < _PATIENCE and not gone(first):
                return False
            attempt += 1
        else:
            return True

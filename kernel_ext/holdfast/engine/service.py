"""A worker that serves: it finds executions that may go on, or whose worker is gone, and works on several at a time. Any number of them
may run on any number of machines; the lease decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from holdfast.config import Config
from holdfast.engine.execute import execute
from holdfast.errors import Fenced, OperatorError, StoreError
from holdfast.executions.family import tell_all
from holdfast.executions.requests import Asked
from holdfast.executions.waking import claim_wake_up, due, orphans
from holdfast.foundation import clock
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.model.execution import Change, Execution, Mode
from holdfast.prompts.expiring import expire_due

#: Seconds between two looks for what is due: by index, a fraction of a millisecond each.
LOOK = 0.25
#: Seconds between two looks for what was left behind.
SWEEP = 5.0
#: The longest pause before an execution is tried again that cannot be worked on for a reason that lies in the installation.
MOST_PATIENCE = 60.0


class Service:
    """Works until it is told to stop.

    Args:
        store, config: the installation.
        concurrency: how many executions at a time.
        tell: hears of every execution that is begun, left or refused: (id, what, details).
        beside: what else is done at every look, before it: quick, and only ``StoreError`` may come out of it.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        concurrency: int = 4,
        tell: Callable[[str, str, Any], None] = lambda *_: None,
        beside: Callable[[], object] = lambda: None,
    ) -> None:
        self._store, self._config, self._concurrency, self._tell = store, config, concurrency, tell
        self._beside = beside
        self._owner = this_process("worker").text
        self._running: dict[str, threading.Thread] = {}
        self._asks: dict[str, Callable[[Asked], Any]] = {}
        self._refused: dict[str, tuple[int, float]] = {}  # how often in a row, and until when it is left alone
        self._lock = threading.Lock()
        self._wake, self._stopped = threading.Event(), False
        self._swept = float("-inf")
        self._away = 0  # looks in a row that did not reach the journal

    def stop(self, why: str = "the worker was told to end") -> None:
        """Begin nothing more and let go of what runs, for another worker to take over. From any thread, also from a signal handler."""
        self._stopped = True
        for ask in list(self._asks.values()):
            ask(self._go(why))
        self._wake.set()

    def run(self, *, once: bool = False) -> None:
        """Work.

        Args:
            once: come back when nothing more can be worked on now.

        Raises:
            StoreError: with ``once``: the journal cannot be reached.
        """
        while not self._stopped:
            try:
                began = self._look()
                self._away = 0
            except StoreError as error:
                if once:
                    raise
                self._away += 1
                if self._away == 1:
                    self._tell("", "journal", error)
                began = False
            if once and not began and not self._running:
                break
            self._wake.wait(min(LOOK * 2**self._away, 10.0))
            self._wake.clear()
        for thread in list(self._running.values()):
            thread.join()

    # ---- finding

    def _look(self) -> bool:
        self._beside()
        now = clock.monotonic()
        with self._lock:
            free = self._concurrency - len(self._running)
        found: list[tuple[Execution, bool]] = []
        if now - self._swept >= SWEEP:
            self._swept = now
            tell_all(self._store)
            expire_due(self._store, noticed_by="worker")
            found += [(h, False) for h in orphans(self._store)]
        if free > 0:
            more = len(self._running) + len(self._refused)
            found += [(h, True) for h in due(self._store, queued=True, limit=free + more)]
        began = False
        for header, claimed in found:
            if self._stopped or len(self._running) >= self._concurrency:
                break
            if header.mode != Mode.BATCH:  # a person goes on with it, not a worker
                self._store.append(header.id, (), fence=None, change=Change(due_at=0))
                continue
            if header.id not in self._running and self._refused.get(header.id, (0, 0.0))[1] <= now:
                if not claimed or claim_wake_up(self._store, header.id, self._owner):
                    self._begin(header)
                    began = True
        return began

    # ---- working

    def _begin(self, header: Execution) -> None:
        thread = threading.Thread(target=self._work, args=(header,), name=f"work-{header.id}", daemon=True)
        with self._lock:
            self._running[header.id] = thread
        self._tell(header.id, "begun", header)
        thread.start()

    def _work(self, header: Execution) -> None:
        def reins(ask: Callable[[Asked], Any]) -> None:
            self._asks[header.id] = ask
            if self._stopped:
                ask(self._go("the worker was told to end"))

        try:
            result = execute(self._store, self._config, header.id, by_person=False, label="worker", reins=reins)
            self._refused.pop(header.id, None)
            self._tell(header.id, "left", result)
        except (OperatorError, Fenced) as error:
            if isinstance(error, Fenced) or error.code == "HF250":
                self._tell(header.id, "taken", error)
            else:
                self._refuse(header, error)
        except Exception as error:
            self._refuse(header, error)
        finally:
            self._asks.pop(header.id, None)
            with self._lock:
                self._running.pop(header.id, None)
            self._wake.set()

    def _refuse(self, header: Execution, error: BaseException) -> None:
        times = self._refused.get(header.id, (0, 0.0))[0] + 1
        self._refused[header.id] = (times, clock.monotonic() + min(2.0 ** (times - 1), MOST_PATIENCE))
        self._tell(header.id, "refused", error)

    def _go(self, why: str) -> Asked:
        return Asked(what="pause", who=self._config.user, why=why, at_once=True, stays=False)

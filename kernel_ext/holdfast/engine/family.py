"""What an execution starts is worked on beside it, in the same process, unless another worker is there first."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from holdfast.config import Config
from holdfast.errors import Fenced, HoldfastError, StoreError
from holdfast.executions.requests import Asked
from holdfast.executions.waking import claim_wake_up, due, orphans
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.model.execution import Execution, Mode

_log = logging.getLogger(__name__)

#: Seconds between two looks for children.
LOOK = 0.25


class Family:
    """Children of one execution, from :meth:`start` to :meth:`finish`.

    Args:
        store, config: the installation.
        parent: id of the execution.
        execute: ``engine.execute.execute``.
    """

    def __init__(self, store: Store, config: Config, parent: str, execute: Callable[..., Any]) -> None:
        self._store, self._config, self._parent, self._execute = store, config, parent, execute
        self._owner = this_process("family").text
        self._running: dict[str, threading.Thread] = {}
        self._asks: dict[str, Callable[[Asked], Any]] = {}
        self._told: Asked | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"family-{parent}", daemon=True)

    def start(self) -> None:
        """Begin to look for children."""
        self._thread.start()

    def ask(self, asked: Asked) -> None:
        """The worker must go: let the children go, too. (What people ask of the parent is handed down when the parent obeys.)"""
        if not asked.stays or asked.at_once:
            self._told = asked
            for ask in list(self._asks.values()):
                ask(asked)

    def finish(self) -> None:
        """Start what has been queued until now, and come back when none of the children works here any more."""
        self._end.set()
        if self._thread.ident is None:
            return
        self._thread.join()
        with contextlib.suppress(StoreError):
            self._look()
        for thread in list(self._running.values()):
            thread.join()

    def _watch(self) -> None:
        while not self._end.wait(LOOK):
            with contextlib.suppress(StoreError):
                self._look()

    def _look(self) -> None:
        for id in [id for id, thread in self._running.items() if not thread.is_alive()]:
            del self._running[id]
        room = self._config.parallel_kernels - len(self._running)
        if room <= 0 or self._told is not None:
            return
        found = due(self._store, queued=True, parent=self._parent, leave=self._running, limit=room)
        found += orphans(self._store, parent=self._parent)  # begun by a worker of the parent that has died
        for header in found[:room]:
            if header.mode == Mode.BATCH and header.id not in self._running and claim_wake_up(self._store, header.id, self._owner):
                thread = threading.Thread(target=self._work, args=(header,), name=f"child-{header.id}", daemon=True)
                self._running[header.id] = thread
                thread.start()

    def _work(self, header: Execution) -> None:
        def reins(ask: Callable[[Asked], Any]) -> None:
            self._asks[header.id] = ask
            if self._told is not None:
                ask(self._told)

        try:
            self._execute(self._store, self._config, header.id, by_person=False, label="engine", reins=reins)
        except (HoldfastError, Fenced) as error:  # it stands in the child's own journal, or another worker has it
            _log.info("child %s: %s", header.id, error)
        except Exception:
            _log.exception("child %s", header.id)
        finally:
            self._asks.pop(header.id, None)

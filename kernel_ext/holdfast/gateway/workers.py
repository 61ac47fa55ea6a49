"""Who works on what is started, resumed or answered here: a worker beside the gateway, or workers and schedulers elsewhere."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Final

from holdfast.access.person import Person
from holdfast.client import Client
from holdfast.client.waking import wake_scheduler
from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.executions.stopping import let_go_on
from holdfast.executions.waking import due, orphans
from holdfast.foundation import clock
from holdfast.journal.ownership import held, unattended
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Mode, Status

_IDLE: Final = 900.0  # seconds without work after which the worker ends; the next thing to do starts another
_SWEEP: Final = 5.0  # seconds between two looks for what lost its worker
_MOST_PATIENCE: Final = 60.0


class Workers:
    """Keeps one ``holdfast worker`` beside the gateway while there is something to do (``workers = "detached"``), or leaves that to
    others (``"queue"``).

    The worker ends in its own time when the gateway does: what it has begun comes to its end.

    Args:
        store: the journal.
        config: the settings.
    """

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sweep_at = 0.0
        self._deaths, self._not_before = 0, 0.0

    @property
    def detached(self) -> bool:
        """Whether a worker is started here."""
        return self._config.workers == "detached"

    def go_on(self, header: Execution, person: Person, why: str = "") -> None:
        """Continue an execution because a person said so.

        Raises:
            OperatorError: HF250 somebody works on it, HF253 it has ended or is somebody's session, HF271. StoreError.
        """
        if header.status in (Status.SUCCEEDED, Status.CANCELLED):
            raise OperatorError("HF253", f"the execution has {header.status}", cure="There is nothing to continue.", execution=header.id)
        if header.mode != Mode.BATCH:
            raise OperatorError("HF253", "this is a person's session", cure="Continue it where it was begun.", execution=header.id)
        if not unattended(header, self._store.now(), self._store.step_leases(header.id)):
            raise held(header.id, header.owner, header.lease_until)
        draft = Draft(kind=Kind.REQUESTED, body={"what": "resume", "who": person.name, "why": why}, actor=person.name)
        change = Change(due_at=self._store.now()) if header.status in (Status.SUSPENDED, Status.QUEUED) else None
        self._store.append(header.id, (draft,), fence=None, change=change)
        let_go_on(self._store, self._config, header, who=person.name, why=why)
        self.look()

    def expect(self, header: Execution) -> None:
        """Something has come that the execution waits for: whoever continues it is told at once.

        Raises:
            OperatorError: HF271. StoreError.
        """
        if self.detached and not wake_scheduler(Client(self._store, self._config), header.id):
            self.look()

    def look(self) -> None:
        """Start the worker when there is something to do for one and none runs; called again and again.

        Raises:
            OperatorError: HF271. StoreError.
        """
        if not self.detached:
            return
        with self._lock:
            if self._process is not None:
                if self._process.poll() is None:
                    return
                self._count_death(self._process.returncode)
            now = clock.monotonic()
            if now < self._not_before or not (due(self._store, queued=True, limit=1) or self._lost(now)):
                return
            self._start()

    def _lost(self, now: float) -> bool:
        if now < self._sweep_at:
            return False
        self._sweep_at = now + _SWEEP
        return bool(orphans(self._store))

    def _count_death(self, status: int) -> None:
        self._process = None
        self._deaths = self._deaths + 1 if status else 0
        self._sweep_at = 0.0
        if self._deaths > 1:
            self._not_before = clock.monotonic() + min(2.0 ** (self._deaths - 1), _MOST_PATIENCE)

    def _start(self) -> None:
        logs = self._config.state_dir / "logs"
        command = [sys.executable, "-m", "holdfast", "worker", "--attached", "--idle", str(_IDLE)]
        try:
            logs.mkdir(parents=True, exist_ok=True)
            with open(logs / "gateway-worker.log", "ab") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._config.process_environment(), start_new_session=True
                )
        except OSError as error:
            raise OperatorError(
                "HF271", f"no worker can be started: {error.strerror}", cure="Mend it, or start `holdfast worker`."
            ) from None

"""Who works on what is started, resumed or answered here: a detached ``holdfast resume``, or whoever looks for due executions."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from typing import Final

import msgspec

from holdfast.access.person import Person
from holdfast.client import Client
from holdfast.client.waking import claim_wake_up
from holdfast.config import Config
from holdfast.errors import HoldfastError, OperatorError, StoreError
from holdfast.foundation import clock
from holdfast.journal.ownership import held, unattended
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Mode, Status

_PATIENCE: Final = 600.0  # seconds for which an answered execution is watched: its kernel may hold, take the answer, or suspend
_log = logging.getLogger("holdfast.gateway")


class Workers:
    """Starts engines beside the gateway (``workers = "detached"``) or leaves executions to a worker (``"queue"``).

    Args:
        store: the journal.
        config: the settings.
    """

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._watched: dict[str, tuple[float, str]] = {}  # execution -> until when, in whose name

    @property
    def detached(self) -> bool:
        """Whether engines are started here."""
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
        body = {"what": "resume", "who": person.name, "why": why}
        drafts = [Draft(kind=Kind.REQUESTED, body=body, actor=person.name)]
        change = None
        if not self.detached and header.status in (Status.PAUSED, Status.FAILED):
            drafts.append(
                Draft(kind=Kind.EXECUTION_RESUMED, body={"from": str(header.status), "who": person.name, "why": why}, actor=person.name)
            )
            change = Change(status=Status.SUSPENDED, reason=f"resumed by {person.name}", due_at=self._store.now())
        elif not self.detached and header.status == Status.SUSPENDED:
            change = Change(due_at=self._store.now())
        self._store.append(header.id, drafts, fence=None, change=change)
        self.begin(header.id, person.name)

    def begin(self, execution: str, user: str) -> None:
        """Start an engine for an execution that nobody works on; nothing when that is left to others.

        Raises:
            OperatorError: HF271.
        """
        if not self.detached:
            return
        config = msgspec.structs.replace(self._config, user=user)
        logs = config.state_dir / "logs"
        try:
            logs.mkdir(parents=True, exist_ok=True)
            with open(logs / f"{execution}.log", "ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "holdfast", "resume", execution, "--quiet"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=config.process_environment(), start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise OperatorError(
                "HF271", f"no worker can be started: {error.strerror}", cure="Mend it, or start `holdfast worker`.", execution=execution
            ) from None
        with self._lock:
            self._processes = [p for p in self._processes if p.poll() is None] + [process]

    def expect(self, execution: str, user: str) -> None:
        """An execution was answered: see to it that it goes on."""
        if self.detached:
            with self._lock:
                self._watched[execution] = (clock.monotonic() + _PATIENCE, user)

    def look(self) -> None:
        """Start engines for those expected executions that are suspended and due; called again and again."""
        with self._lock:
            self._processes = [p for p in self._processes if p.poll() is None]
            watched = dict(self._watched)
        for execution, (until, user) in watched.items():
            try:
                if self._went_on(execution, user) or clock.monotonic() > until:
                    with self._lock:
                        self._watched.pop(execution, None)
            except StoreError:
                continue
            except HoldfastError as error:
                _log.error("%s cannot go on: %s", execution, error)
                with self._lock:
                    self._watched.pop(execution, None)

    def _went_on(self, execution: str, user: str) -> bool:
        header = self._store.header(execution)
        if header is None or header.status.ended:
            return True
        now = self._store.now()
        if header.status == Status.SUSPENDED and header.due_at is not None and header.due_at <= now and unattended(header, now):
            if header.mode == Mode.BATCH and claim_wake_up(Client(self._store, self._config), execution, "gateway"):
                self.begin(execution, user)
            return True
        return False

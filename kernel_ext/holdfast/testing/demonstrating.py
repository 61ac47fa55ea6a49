"""An alert that comes in, from the exporter to the effect: monitoring, gateway, rule, worker, a person, the far side, all for real.

Gateway and worker are killed on the way, as long as faults say so, and started again as a service manager would.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from holdfast.errors import LookupFailedError
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.entry import Entry, Kind
from holdfast.model.execution import Execution
from holdfast.prompts.listing import list_prompts
from holdfast.testing.gateways import Gateway
from holdfast.testing.performing import say
from holdfast.testing.rehearsal import FILE, Alert, Stage
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.monitoring import Monitoring

#: Where the power is cut: the gateway between receipt and answer, a worker between the rule's decision and the start it decided.
CUTS = ("event.after_receive=kill", "event.after_decision=kill")
_TOKEN = "of-the-demonstration"  # noqa: S105 - for loopback, until it ends
_ENDED = ("succeeded", "failed", "cancelled")


class Demonstration:
    """A stage with its alert, and a Holdfast that is told, from ``with`` to its end.

    Args:
        book: the runbook that the alert starts, by a rule of its pack.
        stage: where.
        folder: for everything that is written.
        tell: is told what happens, a sentence at a time.
        cuts: where gateway and worker are killed, once each; empty texts: nowhere.
        real: a real Prometheus and Alertmanager; by default where they are installed.
    """

    def __init__(
        self,
        book: Path,
        stage: Stage,
        folder: Path,
        tell: Callable[[str], object] = lambda said: None,
        *,
        cuts: tuple[str, str] = CUTS,
        real: bool | None = None,
    ) -> None:
        self.stage, self.tell, self._cuts, self._end = stage, tell, cuts, contextlib.ExitStack()
        alert, rules = stage.alert, book.parent / "alerts.yaml"
        if alert is None or not rules.exists():
            what = f"no alert of {book.stem} is described"
            raise LookupFailedError("HF605", what, cure=f"Give its stage in {FILE} an `alert`, and the pack an {rules.name}.")
        self.alert: Alert = alert
        settings = {"HOLDFAST_RUNBOOKS": str(book.parent), "DEMONSTRATION_TOKEN": _TOKEN}
        self.sandbox = Sandbox(folder, environment={**settings, **stage.environment})
        (folder / "events.toml").write_text('[sources.alertmanager]\ntoken = "env:DEMONSTRATION_TOKEN"\n')
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.gateway = Gateway(self.sandbox, faults=cuts[0], port=self._port)
        self._worker: subprocess.Popen[str] | None = None
        hook = f"http://127.0.0.1:{self._port}/api/v1/events/alertmanager"
        self.monitoring = Monitoring(folder, alert, rules, hook, _TOKEN, real=real)
        self._seen, self._fires = 0, False

    def __enter__(self) -> Demonstration:
        with contextlib.ExitStack() as started:
            started.callback(self._stop_gateway)
            self.gateway.__enter__()
            self.store: Store = open_store(self.sandbox.journal, key_file=self.sandbox.key_file)
            started.callback(self.store.close)
            started.callback(self._stop_worker)
            self._work(self._cuts[1])
            started.enter_context(self.monitoring)
            self._end = started.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.close()

    @property
    def inbox(self) -> str:
        """Where a person signs in by looking at it."""
        return f"{self.gateway.address}/login?token={self.gateway.token}"

    def executions(self) -> list[Execution]:
        """Those that were started."""
        return self.store.headers()

    def look(self) -> str:
        """Start again what was killed, and tell what is new; returns the status of the execution, empty before there is one."""
        if self.gateway.process.poll() is not None:
            self.tell("the gateway was killed between receipt and answer: the sender has to send again. It is started again")
            self.gateway = Gateway(self.sandbox, port=self._port)
            self.gateway.__enter__()
        if self._worker is not None and self._worker.poll() is not None:
            self.tell("the worker was killed between decision and start. It is started again")
            self._work()
        if self.alert.firing() != self._fires:
            self._fires = not self._fires
            self.tell(f"{'an alert fires' if self._fires else 'nothing is wrong any more with'}: {json.dumps(dict(self.alert.labels))}")
        found = self.executions()
        if not found:
            return ""
        for entry in self.store.read(found[0].id)[self._seen :]:
            self._seen += 1
            if said := _said(entry, found[0]):
                self.tell(said)
        return found[0].status.value

    def answer(self) -> bool:
        """Say to open questions what the stage says is said; whether there was one."""
        said = [say(self.store, self.stage, prompt, lambda said: None) for prompt in list_prompts(self.store)]  # to all of them
        return any(said)

    def ended(self) -> bool:
        """Whether the execution has ended; looks."""
        return self.look() in _ENDED

    def _work(self, faults: str = "") -> None:
        with (self.sandbox.folder / "worker.log").open("a") as log:
            self._worker = self.sandbox.start("worker", faults=faults, stdout=log, stderr=log)

    def _stop_gateway(self) -> None:
        self.gateway.__exit__()  # the one that runs by then

    def _stop_worker(self) -> None:
        if self._worker is not None and self._worker.poll() is None:
            self.sandbox.kill(self._worker)


def _said(entry: Entry, execution: Execution) -> str:
    """An entry as a sentence for whoever watches; empty for most."""
    if entry.kind == Kind.EXECUTION_CREATED:
        return f"a rule starts {execution.runbook} with {json.dumps(execution.shown_parameters)}"
    if entry.kind == Kind.PROMPT_OPENED:
        return f"it asks: {entry.data['text']}"
    if entry.kind == Kind.PROMPT_ANSWERED:
        return f"{entry.data['who']} has answered: {entry.data['verdict']}"
    if entry.kind == Kind.SIGNAL_RECEIVED:
        return "Alertmanager says that the alert is over; the rule tells the execution"
    return ""

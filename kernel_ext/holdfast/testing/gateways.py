"""A real ``holdfast serve`` for tests, and questions to answer there without a kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from typing import Any

import httpx

from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.ownership import this_process
from holdfast.journal.writer import Writer
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.prompt import Prompt, PromptKind, Question
from holdfast.prompts.opening import open_prompt
from holdfast.testing.sandbox import Sandbox

_START = 60.0


class Gateway:
    """A server in a sandbox, on a port of its own.

    Args:
        sandbox: where it runs.
        faults: where to cut its power, and that of the worker it starts (setting ``workers``), which carries messages, too.
        environment: further settings.
        port: to listen on; 0 takes a free one.
    """

    def __init__(self, sandbox: Sandbox, *, faults: str = "", environment: Mapping[str, str] | None = None, port: int = 0) -> None:
        self.sandbox, self._faults, self._port = sandbox, faults, port
        sandbox.environment.update(environment or {})
        self.address = ""
        self.token: str | None = None

    def __enter__(self) -> Gateway:
        with (self.sandbox.folder / "gateway.log").open("a") as log:
            self.process = self.sandbox.start("serve", "--port", str(self._port), "--json", faults=self._faults, stderr=log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log()[-3000:]
        told = json.loads(line)
        self.address, self.token = told["address"], told["token"]
        deadline = clock.monotonic() + _START
        while not self._answers():
            if self._faults and self.process.poll() is not None:  # struck before anybody could ask it anything
                break
            assert clock.monotonic() < deadline and self.process.poll() is None, self.log()[-3000:]
            clock.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """Speaks to it as the owner, or whoever has ``token``; an empty one signs nobody in."""
        given = self.token if token is None else token
        headers = {**({"Authorization": f"Bearer {given}"} if given else {}), **options.pop("headers", {})}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, **options)

    def log(self) -> str:
        """What it wrote."""
        return (self.sandbox.folder / "gateway.log").read_text()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def ask(
    sandbox: Sandbox,
    text: str = "Restart web?",
    *,
    id: str,
    runbook: str = "restart-web",
    step: str = "gate",
    kind: PromptKind = PromptKind.CONFIRM,
    verdicts: tuple[str, ...] = ("yes", "no"),
    question: Question | None = None,
    request: Mapping[str, Any] | None = None,
    due_in: float | None = None,
    started_by: str = "carol",
) -> Prompt:
    """An execution, suspended with a question; the journal is as if a kernel had asked and gone."""
    store = open_store(sandbox.journal, key_file=sandbox.key_file)
    try:
        now = clock.now()
        header = Execution(id=id, runbook=runbook, created_at=now, updated_at=now, started_by=started_by)
        store.create(header, [Draft(kind=Kind.EXECUTION_CREATED, body={"runbook": runbook}, actor=started_by)])
        lease = store.claim(id, this_process("test"), 30)
        assert lease is not None
        prompt = open_prompt(
            Writer(store, id, lease.fence, started_by), step=step, subject=text, kind=kind, text=text, verdicts=verdicts, request=request,
            due_at=None if due_in is None else now + due_in, question=question,
        )  # fmt: skip
        draft = Draft(kind=Kind.EXECUTION_SUSPENDED, body={"reason": "waits for a person"}, actor=started_by)
        store.append(id, [draft], fence=lease.fence, change=Change(status=Status.SUSPENDED, reason="waits for a person"))
        store.release(lease)
        return prompt
    finally:
        store.close()

"""A recorder with a guard, without kernel and engine: what tests of guardrails drive, in one process or in several at a time."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from holdfast.durable import current
from holdfast.durable.cell import CellContext, Summary
from holdfast.durable.interceptor import Request
from holdfast.durable.recorder import Recorder
from holdfast.errors import GuardrailError
from holdfast.foundation import clock, faults
from holdfast.guardrails.guard import Guard, told_by
from holdfast.guardrails.settings import GuardrailsFile
from holdfast.journal.opening import open_store
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.call import Effect
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.lease import Owner
from holdfast.model.manifest import Manifest
from holdfast.model.prompt import PromptKind, Question
from holdfast.prompts.answering import answer
from holdfast.prompts.opening import open_prompt


class Guarded:
    """One execution of a runbook with guardrails.

    Args:
        store: the journal.
        id: of the execution; made unless it is there.
        runbook: its name.
        about: ``metadata.holdfast`` of the notebook.
        parameters: of the execution.
        via: what started it, as the first entry says.
        file: the guardrails file.
        parent: the execution that started it.
    """

    def __init__(
        self,
        store: Store,
        id: str,
        *,
        runbook: str = "book",
        about: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        via: str = "cli",
        file: Path | None = None,
        parent: str | None = None,
    ) -> None:
        self.store, self.id, self._about = store, id, dict(about or {})
        self._file = GuardrailsFile(file)
        self.made: list[str] = []  # what reached the far side
        self.last = Summary()
        if store.header(id) is None:
            header = Execution(id=id, runbook=runbook, parameters=dict(parameters or {}), status=Status.RUNNING, parent=parent)
            store.create(header, [Draft(kind=Kind.EXECUTION_CREATED, body={"via": via})])
        self.restart()

    def restart(self) -> None:
        """A new process on it: everything but the journal is forgotten."""
        me = this_process("guarded")
        header = self.store.header(self.id)
        assert header is not None
        lease = self.store.claim(self.id, Owner(host=me.host, boot=me.boot, pid=me.pid, started=me.started), 60, dead=header.owner)
        assert lease is not None
        self.writer = Writer(self.store, self.id, lease.fence, "tester")
        self.recorder = Recorder(self.writer, owner="tester")
        manifest = Manifest(name=header.runbook, digest="")
        self.recorder.guard = Guard(self.store, header, told_by(self._about, header, lambda: manifest), self._file)

    @contextmanager
    def cell(self, step: str = "act", *, attempt: int = 1, **context: Any) -> Iterator[Guarded]:
        """What the kernel does round a cell."""
        self.recorder.begin(CellContext(step=step, cell=f"{step}-cell", source_digest="d", step_attempt=attempt, **context))
        try:
            yield self
        finally:
            self.last = self.recorder.end()
            if self.last.drafts:
                self.writer.append_all(self.last.drafts)
            current.install(None)

    def change(self, what: str, **more: Any) -> Any:
        """A change that reaches the far side."""

        def do(attempt: Any) -> str:
            self.made.append(what)
            return what

        operation = more.pop("operation", f"change {what}")
        request = Request(kind="call", operation=operation, fingerprint=operation.encode(), effect=Effect.WRITE, **more)
        return self.recorder.perform(request, do)

    def put(self, url: str) -> Any:
        """A change over HTTP that names its result: after a kill it is made again without a question."""

        def do(attempt: Any) -> int:
            with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=20) as answer:
                self.made.append(url)
                return int(answer.status)

        request = Request(kind="call", operation=f"PUT {url}", fingerprint=url.encode(), effect=Effect.IDEMPOTENT)
        return self.recorder.perform(request, do)

    def destroy(self, what: str) -> Any:
        """A change that destroys."""
        return self.change(what, operation=f"delete_volume({what})", target=what)

    def consent(self, *, step: str = "act", verdict: str = "yes", **question: Any) -> str:
        """A person is asked and answers; the prompt's id."""
        prompt = open_prompt(
            self.writer,
            step=step,
            subject=f"gate {clock.now()}",
            kind=PromptKind.APPROVE,
            text="may I?",
            verdicts=("yes", "no"),
            question=Question(**question),
        )
        answer(self.store, prompt.id, verdict, who="alice", via="test")
        return prompt.id

    def end(self, status: Status = Status.SUCCEEDED) -> None:
        """The execution comes to its end."""
        kind = Kind.EXECUTION_SUCCEEDED if status is Status.SUCCEEDED else Kind.EXECUTION_FAILED
        self.writer.append(kind, {}, change=Change(status=status))


def main(journal: str, key_file: str, id: str, url: str, about: str, changes: str, faults_armed: str = "", log: str = "") -> int:
    """In a process of its own: PUT ``url/ID/0``, ``url/ID/1`` ... as changes of the execution; the codes of refusals are printed.

    The process is the same worker come back: a kill leaves it where the journal has it.
    """
    store = open_store(journal, key_file=Path(key_file))
    run = Guarded(store, id, about=msgspec.json.decode(about))
    faults.arm(faults_armed, log or None)
    with run.cell():
        for n in range(int(changes)):
            try:
                run.put(f"{url}/{id}/{n}")
            except GuardrailError as refusal:
                sys.stdout.write(f"{refusal.code}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))

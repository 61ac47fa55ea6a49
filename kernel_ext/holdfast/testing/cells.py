"""Runs a durable cell in a process of its own, without kernel and engine, so that a test can cut its power at any fault and go on.

``python -m holdfast.testing.cells`` is the process; :class:`CellRunner` starts it, again and again until the cell is through.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.errors import ControlFlow, Suspend
from holdfast.journal.opening import open_store
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.execution import Execution
from holdfast.model.policy import Policy, Retry
from holdfast.model.prompt import Prompt
from holdfast.prompts.answering import answer
from holdfast.prompts.listing import list_prompts

EXECUTION = "20260102-030405-cells0"
STEP = "work"


class Passed(msgspec.Struct, frozen=True):
    """How one process ended."""

    status: int  # 0 succeeded, 1 the cell raised, 3 suspended, negative: the signal that killed it
    out: str
    err: str

    @property
    def killed(self) -> bool:
        """Whether a fault cut the power."""
        return self.status == -signal.SIGKILL


class CellRunner:
    """One execution with one step of one cell.

    Args:
        folder: for the journal and the state folder.
        cell: the source, IPython syntax included.
        environment: for the cell's process, beside the test's own.
        policy: of the step.
        nest: forks the cell's processes, which costs a tenth of starting them.
        journal: its address; by default SQLite in the folder.
    """

    def __init__(
        self,
        folder: Path,
        cell: str,
        environment: Mapping[str, str] | None = None,
        policy: Mapping[str, Any] | None = None,
        nest: Nest | None = None,
        journal: str | None = None,
    ) -> None:
        self.folder, self.cell = folder, cell
        self.journal = journal or f"sqlite:///{folder}/journal.db"
        self.environment = {**os.environ, **(environment or {})}
        self._policy = dict(policy or {})
        self._nest = nest
        self.attempt = 1
        self.dry_run = False

    def command(self) -> list[str]:
        """What a process of it runs."""
        return [sys.executable, "-m", __name__, json.dumps(self._given())]

    def _given(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "journal": self.journal,
            "cell": self.cell,
            "policy": self._policy,
            "attempt": self.attempt,
            "dry_run": self.dry_run,
        }

    def run(self, faults: str = "", timeout: float = 60) -> Passed:
        """Run the cell in a new process until it ends or a fault strikes."""
        environment = {**self.environment, "HOLDFAST_FAULTS": faults}
        if self._nest is not None:
            return self._nest.run(self._given(), environment)
        done = subprocess.run(
            self.command(),
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            start_new_session=True,
        )
        return Passed(done.returncode, done.stdout, done.stderr)

    def start(self, faults: str = "") -> subprocess.Popen[str]:
        """Start it and leave the rest to the test."""
        environment = {**self.environment, "HOLDFAST_FAULTS": faults}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(), env=environment, cwd=self.folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    def planned(self) -> list[dict[str, Any]]:
        """What the last dry run would have changed."""
        found: list[dict[str, Any]] = json.loads((self.folder / "plan.json").read_text())
        return found

    def open(self) -> Store:
        """The journal."""
        return open_store(self.journal, key_file=self.folder / "key")

    def prompts(self) -> list[Prompt]:
        """The open ones."""
        store = self.open()
        try:
            return list_prompts(store)
        finally:
            store.close()

    def answer(self, verdict: str, value: Any = None) -> None:
        """Answer the one open prompt."""
        store = self.open()
        try:
            (prompt,) = list_prompts(store)
            answer(store, prompt.id, verdict, value=value, who="tester", via="test")
        finally:
            store.close()


class Nest:
    """A process that has imported what cells need, and forks one process per run. A context manager.

    Args:
        modules: to be imported beside Holdfast's own.
    """

    def __init__(self, modules: Iterable[str] = ()) -> None:
        self._modules = list(modules)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Nest:
        command = [sys.executable, "-m", __name__, "--nest", *self._modules]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.communicate(timeout=60)

    def run(self, given: Mapping[str, Any], environment: Mapping[str, str]) -> Passed:
        """One process from beginning to end."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"given": dict(given), "environment": dict(environment)}) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        out, err = (Path(given["folder"]) / name for name in ("out.txt", "err.txt"))
        return Passed(status, out.read_text(errors="replace"), err.read_text(errors="replace"))


def nest(modules: list[str]) -> None:
    """Fork for each line of standard input; print how it ended."""
    from importlib import import_module

    for module in ["IPython.core.interactiveshell", "holdfast.durable.wiring", *modules]:
        import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _hatch(asked)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _hatch(asked: dict[str, Any]) -> None:
    """In the forked process: run the cell and end."""
    status = 70
    try:
        folder = Path(asked["given"]["folder"])
        os.setsid()
        os.chdir(folder)
        for name, number in (("out.txt", 1), ("err.txt", 2)):
            file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(asked["environment"])
        status = main(asked["given"])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main(given: dict[str, Any]) -> int:
    """Run the cell of ``given``; the result is the process's exit status."""
    from IPython.core.interactiveshell import InteractiveShell

    from holdfast.durable.cell import CellContext
    from holdfast.durable.recorder import Recorder
    from holdfast.durable.wiring import Wiring
    from holdfast.kernel.lines import register_lines

    folder = Path(given["folder"])
    config = Config.load(folder=folder, journal=given["journal"], key_file=folder / "key", state_dir=folder / "state")
    store = open_store(config.journal, key_file=config.key_file)
    header = store.header(EXECUTION) or store.create(Execution(id=EXECUTION, runbook="cells"))
    me = this_process("cells")
    lease = store.claim(EXECUTION, me, 30.0, dead=header.owner)
    if lease is None:
        return 5
    retry = Retry(count=3, delay=0.01, backoff="constant")
    writer = Writer(store, EXECUTION, lease.fence, "tester")
    recorder = Recorder(writer, owner=me.text, state_dir=config.state_dir, retry=retry, hold=config.hold_for)
    shell = InteractiveShell.instance(colors="nocolor")
    register_lines(shell)
    Wiring(recorder, shell.ast_transformers, lambda name: True).install()
    policy = msgspec.convert(given["policy"], Policy)
    digest = str(hash_of(given["cell"]))
    recorder.begin(
        CellContext(
            step=STEP, cell="c", source_digest=digest, step_attempt=given["attempt"], mode="replay", policy=policy, dry_run=given["dry_run"]
        )
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as a kernel does, whatever this process inherited
    try:
        result: Any = shell.run_cell(given["cell"], store_history=False)  # type: ignore[no-untyped-call]
    finally:
        summary = recorder.end()
        (folder / "plan.json").write_text(json.dumps(msgspec.to_builtins(summary.plan), default=str))
        if summary.drafts:
            recorder.writer.append_all(summary.drafts)
    error = result.error_before_exec or result.error_in_exec
    if isinstance(error, ControlFlow):
        return 3 if isinstance(error, Suspend) else 4
    return 1 if error is not None else 0


def hash_of(text: str) -> str:
    """A digest of a cell's source."""
    import hashlib

    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


if __name__ == "__main__":
    if sys.argv[1] == "--nest":
        nest(sys.argv[2:])
        sys.exit()
    status = main(json.loads(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # as a kernel that is ended: no exit handlers

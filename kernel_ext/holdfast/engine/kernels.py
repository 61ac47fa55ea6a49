"""One kernel process of an execution, with the thread that talks to it."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from holdfast.engine.cells import CellsMixin, Reply, manager
from holdfast.engine.limit import Waited, limited
from holdfast.errors import OperatorError
from holdfast.foundation import clock, process

T = TypeVar("T")

#: Seconds between the interrupt of a step that ran out of time (or was cancelled) and the end of its kernel.
GRACE = 5.0


class KernelDied(Exception):
    """The kernel's process ended while it was needed."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A cell to send: where it stands in the notebook and what goes with it."""

    index: int
    step: str
    run: dict[str, Any]  # ``holdfast_run``
    before: tuple[int, ...] = ()  # cells that are no code and stand above it: they pass by, for nbclient's hooks


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """What all kernels of an execution share."""

    environment: dict[str, str]
    folder: str  # working directory
    logs: Path  # where the processes' own output goes
    make_client: Callable[[], Any]  # an nbclient client with CellsMixin, on the shared notebook
    lock: threading.RLock  # of the notebook
    setup: tuple[Sent, ...]  # cells that every new kernel runs first
    on_start: Callable[[int, str], None]  # pid and start time of a new process
    on_output: Callable[[int, Any], None]
    on_update: Callable[[int, Any], None]
    on_cell: Callable[[str, int, str, str], None]  # "started" | "ended", index, step, state
    on_told: Callable[[int, str, dict[str, Any]], None]  # index, step, what the kernel said
    start_timeout: float = 60.0


#: How often a kernel is started when it ends before it answers (somebody may have killed it).
_STARTS = 3


class Kernel:
    """A kernel and the one thread that talks to it; :meth:`submit` runs a function there.

    Args:
        seat: what all kernels of the execution share.
        number: 1 for the first kernel of the execution; further ones do not write the outputs of setup cells into the notebook.
    """

    def __init__(self, seat: Seat, number: int) -> None:
        self.seat, self.number = seat, number
        self.holds: set[str] = set()  # steps whose state is in the namespace
        self.dirty = False  # a failed or interrupted cell left something behind
        self.pid: int | None = None
        self.timed_out = False
        self._started: str | None = None
        self._was_killed = False  # while it was starting
        self._client: Any = None
        self._log: Path | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"kernel-{number}")

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Run ``function`` in the kernel's thread."""
        return self._thread.submit(function, *arguments)

    # ---- in the kernel's thread

    def ensure(self) -> Reply | None:
        """Start the process when none is there and run the setup cells; returns the reply of one that did not succeed.

        Raises:
            OperatorError: HF251, it does not start.
            KernelDied: it ended during setup.
        """
        if self.pid is not None and not self.dirty:
            return None
        self.stop(now=True)
        for left in reversed(range(_STARTS)):
            try:
                self._start()
                break
            except OperatorError:
                if not self._was_killed or not left:
                    raise
        for sent in self.seat.setup:
            reply = self.execute(sent, scratch=self.number > 1)
            if reply.state not in ("ran", "skipped"):
                return reply
        return None

    def _start(self) -> None:
        self.seat.logs.mkdir(parents=True, exist_ok=True)
        self._log = self.seat.logs / f"kernel-{os.getpid()}-{self.number}.log"
        client: CellsMixin = self.seat.make_client()
        client.prepare(self.seat.lock, self.seat.on_output, self.seat.on_update)
        self._client = client
        self._client.km = manager(forked="HOLDFAST_KERNEL_NURSERY" in self.seat.environment)
        try:
            with open(self._log, "ab") as log:
                self._client.start_new_kernel(
                    env=self.seat.environment, cwd=self.seat.folder, stdin=_NOTHING, stdout=log.fileno(), stderr=log.fileno()
                )
            pid = int(self._client.km.provisioner.pid)
            self._started = process.start_time(pid)
            self.pid, self.holds, self.dirty = pid, set(), False
            self.seat.on_start(pid, self._started or "?")
            self._client.start_new_kernel_client()
        except Exception as error:
            told = self._last_words()
            self._was_killed = isinstance(error, RuntimeError)  # jupyter_client's word for a process that ended before it answered
            self.stop(now=True)
            raise OperatorError(
                "HF251",
                f"the kernel does not start: {type(error).__name__}: {error}" + (f"; it said: {told}" if told else ""),
                cure="`holdfast doctor` checks the installation; the kernel's own messages are in the file.",
                file=str(self._log),
            ) from error

    def execute(self, sent: Sent, *, scratch: bool = False) -> Reply:
        """Send one cell and wait for it.

        Raises:
            KernelDied: the process ended.
            CellTimeoutError: nbclient's own time limit for a cell.
        """
        client = self._client
        notebook: NotebookNode = client.nb
        for index in sent.before:
            client.execute_cell(notebook.cells[index], index)
            self.seat.on_cell("ended", index, sent.step, "passed")
        if scratch:
            client.nb = copy.deepcopy(notebook)
        else:
            self.seat.on_cell("started", sent.index, sent.step, "")
        client.holdfast_run = sent.run
        allowed = True
        try:
            client.execute_cell(client.nb.cells[sent.index], sent.index, store_history=True)
        except CellExecutionError:
            allowed = False  # the rest stands in the reply
        except DeadKernelError as error:
            raise KernelDied(self._last_words()) from error
        except CellTimeoutError:
            self.dirty = True
            raise
        finally:
            client.nb = notebook
        reply = client.reply or Reply({})
        reply.allowed = allowed
        if reply.state == "failed" and not reply.told.get("rolled_back"):
            self.dirty = True
        if not scratch:
            self.seat.on_told(sent.index, sent.step, reply.told)
            self.seat.on_cell("ended", sent.index, sent.step, reply.state)
        return reply

    def evaluate(self, expression: str, run: dict[str, Any]) -> tuple[bool, str]:
        """Whether ``expression`` holds in the kernel's namespace; the second is an error's text, empty when there was none."""
        client = self._client
        client.kc.request_metadata = {"holdfast_run": {**run, "role": "when", "when": expression}}
        # an empty code cell with user expressions is how a front-end asks the kernel something without leaving a trace
        message = client.kc.execute("", silent=True, store_history=False, user_expressions={"when": f"bool({expression}\n)"})
        try:
            reply = client.wait_for_reply(message)
        except DeadKernelError as error:
            raise KernelDied(self._last_words()) from error
        content = (reply or {}).get("content") or {}
        answer = content.get("user_expressions", {}).get("when") or content  # the kernel may fail before it comes to the expression
        if answer.get("status") != "ok" or "data" not in answer:
            return False, f"{answer.get('ename', 'Error')}: {answer.get('evalue', 'no answer')}"
        return answer["data"].get("text/plain") == "True", ""

    def finish(self, notebook: NotebookNode) -> None:
        """Put into the notebook what is known at its end only: the language and the widgets' state."""
        client = self._client
        if client is None or client.kc is None or not process.alive(self.pid or 0, self._started or ""):
            return
        with contextlib.suppress(Exception):
            info = client.wait_for_reply(client.kc.kernel_info())
            with self.seat.lock:
                notebook.metadata["language_info"] = info["content"]["language_info"]
        with self.seat.lock:
            client.set_widgets_metadata()

    def stop(self, *, now: bool) -> None:
        """End the process. ``now``: at once, as a crash would; else it is asked to."""
        client, self._client = self._client, None
        if now:
            self.kill()
        self.pid, self._started = None, None
        self.holds, self.dirty = set(), False
        if client is not None and client.km is not None:
            with contextlib.suppress(Exception):
                client._cleanup_kernel()
        if self._log is not None:
            with contextlib.suppress(OSError):
                if self._log.stat().st_size == 0:
                    self._log.unlink()
                    self._log.parent.rmdir()  # when it was the last

    def _last_words(self) -> str:
        """The last lines that the process wrote by itself."""
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines() if self._log else []
        except OSError:
            return ""
        return " | ".join(lines[-3:])[-500:]

    # ---- from any thread

    def interrupt(self) -> None:
        """Interrupt the running cell, as a person would."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the process and what it started in its own process group, at once."""
        self._signal(signal.SIGKILL)

    def end_cell(self) -> None:
        """Interrupt the running cell; the kernel ends when that does not help."""
        pid, started = self.pid, self._started
        self.interrupt()

        def insist() -> None:
            if self.pid == pid and pid is not None and process.alive(pid, started or "") and self._busy:
                self.kill()

        timer = threading.Timer(GRACE, insist)
        timer.daemon = True
        timer.start()

    _busy = False

    @contextlib.contextmanager
    def limit(self, seconds: float | None, waited: Waited) -> Iterator[None]:
        """Within: a time limit; afterwards :attr:`timed_out` tells whether it struck."""
        self.timed_out, self._busy = False, True

        def strike() -> None:
            self.timed_out = True
            self.end_cell()

        try:
            with limited(seconds, waited, strike):
                yield
        finally:
            self._busy = False

    def close(self, *, now: bool) -> None:
        """End process and thread."""
        if now:
            self.kill()
        with contextlib.suppress(RuntimeError):
            self._thread.submit(lambda: self.stop(now=now)).result()
        self._thread.shutdown(wait=True)

    def _signal(self, number: signal.Signals) -> None:
        pid, started = self.pid, self._started
        if pid is None or started is None or not process.alive(pid, started):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)


def end_orphans(kernels: Sequence[tuple[int, str, str, str]]) -> list[int]:
    """End the kernels of a worker that is gone, those of this machine and boot that still exist.

    Args:
        kernels: pid, start time, host, boot id of each.
    """
    ended = []
    for pid, started, host, boot in kernels:
        if host == process.host() and boot == process.boot_id() and process.end(pid, started):
            until = clock.monotonic() + 5
            while process.alive(pid, started) and clock.monotonic() < until:
                clock.sleep(0.01)
            ended.append(pid)
    return ended


_NOTHING = -3  # subprocess.DEVNULL

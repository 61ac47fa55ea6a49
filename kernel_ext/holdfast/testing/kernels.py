"""A front-end for tests: starts a real kernel, sends cells as JupyterLab, the engine or a headless client would, and kills it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from holdfast.foundation import clock

HOLDFAST = (sys.executable, "-m", "holdfast.kernel", "-f", "{connection_file}")
VANILLA = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")

#: Seconds to wait for any one message: a limit for what hangs, no measure of anything.
PATIENCE = 60.0


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one request."""

    messages: list[dict[str, Any]]  # on IOPub, without status; each with header, content, metadata, buffers
    reply: dict[str, Any]  # content of the execute_reply
    told: dict[str, Any]  # its metadata.holdfast

    @property
    def state(self) -> str | None:
        """What the kernel says of the cell."""
        return self.told.get("state")

    @property
    def stdout(self) -> str:
        """All that was printed."""
        return "".join(m["content"]["text"] for m in self.of("stream") if m["content"]["name"] == "stdout")

    @property
    def result(self) -> str | None:
        """The plain text of the cell's value."""
        found = [m["content"]["data"]["text/plain"] for m in self.of("execute_result")]
        return found[-1] if found else None

    @property
    def shown(self) -> list[str]:
        """The plain texts of displays, Holdfast's own notices left out."""
        return [m["content"]["data"].get("text/plain", "") for m in self.of("display_data") if not _is_notice(m)]

    @property
    def notices(self) -> list[str]:
        """The plain texts of what Holdfast said beside the outputs."""
        return [m["content"]["data"]["text/plain"] for m in self.of("display_data") if _is_notice(m)]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """``error`` outputs."""
        return [m["content"] for m in self.of("error")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type."""
        return [m for m in self.messages if m["header"]["msg_type"] == kind]


def _is_notice(message: dict[str, Any]) -> bool:
    return 'class="holdfast-' in message["content"]["data"].get("text/html", "")


class Front:
    """A kernel process and a client of it. A context manager: leaving it kills what still lives.

    Args:
        folder: working directory of the kernel.
        notebook: as JupyterLab tells the kernel; None for a headless client.
        environment: of the kernel, beside this process's.
        command: the kernel to start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        notebook: Path | None = None,
        environment: Mapping[str, str] | None = None,
        command: Iterable[str] = HOLDFAST,
    ) -> None:
        self.folder, self.notebook = folder, notebook
        outer = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "JPY_", "PYTEST_"))}
        self.environment = {**outer, "IPYTHONDIR": str(folder / ".ipython"), **(environment or {})}
        if notebook is not None:
            self.environment["JPY_SESSION_NAME"] = str(notebook)
        self._manager = KernelManager()
        self._manager._kernel_spec = KernelSpec(argv=list(command), display_name="test", language="python", metadata={"debugger": True})
        self._log = (folder / "kernel.log").open("ab")
        self._manager.start_kernel(env=self.environment, cwd=str(folder), stdout=self._log, stderr=self._log)
        self.client: BlockingKernelClient = self._manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    @property
    def pid(self) -> int:
        """Of the kernel's process."""
        return int(self._manager.provisioner.pid)  # type: ignore[union-attr]

    def send(
        self, code: str, cell: str | None = None, *, silent: bool = False, stop_on_error: bool = True, stdin: bool = False, **metadata: Any
    ) -> str:
        """Send a cell without waiting; returns the message id. ``metadata`` is the cell's, plus ``holdfast_run`` for an engine."""
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": metadata.pop("user_expressions", {}),
            "allow_stdin": stdin,
            "stop_on_error": stop_on_error,
        }
        sent = {**metadata, **({} if cell is None else {"cellId": cell})}
        message = self.client.session.msg("execute_request", content, metadata=sent)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def receive(self, request: str, *, until: Callable[[dict[str, Any]], bool] | None = None) -> Ran:
        """What comes of a request, until it is done or ``until`` says so of a message (then there is no reply)."""
        messages: list[dict[str, Any]] = []
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["header"]["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    break
                continue
            messages.append(message)
            if until is not None and until(message):
                return Ran(messages=messages, reply={}, told={})
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == request:
                return Ran(messages=messages, reply=reply["content"], told=reply["metadata"].get("holdfast") or {})

    def run(self, code: str, cell: str | None = None, **options: Any) -> Ran:
        """Send a cell and wait for it."""
        return self.receive(self.send(code, cell, **options))

    def run_all(self, cells: Iterable[tuple[str, str]]) -> dict[str, Ran]:
        """Run cells (id, source) as "Run All" does: until one fails."""
        done: dict[str, Ran] = {}
        for cell, code in cells:
            done[cell] = self.run(code, cell)
            if done[cell].reply["status"] != "ok":
                break
        return done

    def interrupt(self) -> None:
        """As the stop button does."""
        self._manager.interrupt_kernel()

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        if self._manager.is_alive():
            os.kill(self.pid, signal.SIGKILL)
        self._manager.shutdown_kernel(now=True)
        self._close()

    def wait_until_dead(self) -> None:
        """Until the kernel's process has ended by itself (a fault struck)."""
        until = clock.monotonic() + PATIENCE
        while self._manager.is_alive():
            if clock.monotonic() > until:
                raise TimeoutError("the kernel lives on")
            clock.sleep(0.02)

    def shutdown(self) -> None:
        """End it in good order."""
        self._manager.shutdown_kernel(now=False)
        self._close()

    def _close(self) -> None:
        self.client.stop_channels()
        self._manager.cleanup_resources()
        self._log.close()

    def __enter__(self) -> Front:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._log.closed:
            self.kill()

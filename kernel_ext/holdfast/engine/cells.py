"""nbclient's client, made to send what JupyterLab sends, and to start the Holdfast kernel of this very interpreter."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Container, Mapping
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_async, run_sync
from nbclient import NotebookClient
from nbformat import NotebookNode

from holdfast.engine.forked import NAME as NURSERY
from holdfast.foundation import clock

#: Keys of cell metadata that say what became of an earlier execution, not what to execute.
_LEFT_OUT = frozenset({"papermill", "execution"})

#: The kernel's process, whatever kernelspec the notebook names: an execution is driven by the kernel that belongs to this engine.
KERNEL_ENVIRONMENT = {"PYTHONHASHSEED": "0"}  # a set must come in the same order when a step is gone through again in another process
ARGUMENTS = [sys.executable, "-m", "holdfast.kernel", "-f", "{connection_file}"]


def spec(*, forked: bool = False) -> KernelSpec:
    """A kernelspec for that process. ``forked``: a nursery is asked for it first."""
    provisioner = {"kernel_provisioner": {"provisioner_name": NURSERY}} if forked else {}
    return KernelSpec(
        argv=list(ARGUMENTS),
        display_name="Holdfast",
        language="python",
        env=KERNEL_ENVIRONMENT,
        metadata={"debugger": True, "supported_encryption": ["curve"], **provisioner},
        kernel_protocol_version="5.5",
    )


def request_content(
    code: str, silent: bool, store_history: bool, user_expressions: dict[str, Any] | None, allow_stdin: bool, stop_on_error: bool
) -> dict[str, Any]:
    """The content of an execute request."""
    return {
        "code": code,
        "silent": silent,
        "store_history": store_history,
        "user_expressions": user_expressions or {},
        "allow_stdin": allow_stdin,
        "stop_on_error": stop_on_error,
    }


#: Seconds for the kernel's answer, and for what it publishes about it to arrive once it has; then it is asked again.
_ANSWER, _SUBSCRIBED = 1.0, 0.1


async def _next(channel: Any, seconds: float) -> dict[str, Any] | None:
    """The channel's next message; None: there is none so long."""
    try:
        message: dict[str, Any] = await ensure_async(channel.get_msg(timeout=seconds))
    except Empty:
        return None
    return message


class MetadataClient(AsyncKernelClient):
    """A kernel client whose execute requests carry metadata."""

    request_metadata: dict[str, Any] | None = None  # for the next execute_request

    def execute(
        self,
        code: str,
        silent: bool = False,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool | None = None,
        stop_on_error: bool = True,
    ) -> str:
        """Send an execute request; returns its message id."""
        allowed = bool(self.allow_stdin if allow_stdin is None else allow_stdin)
        content = request_content(code, silent, store_history, user_expressions, allowed, stop_on_error)
        metadata, self.request_metadata = self.request_metadata, None
        message = self.session.msg("execute_request", content, metadata=metadata)
        self.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the base class has it
        """Wait until the kernel answers and its outputs reach us.

        The base class listens for a fifth of a second of silence; here the ``idle`` that follows the kernel's answer says that nothing
        of it is left (https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-status).

        Args:
            timeout: seconds; None: for ever.

        Raises:
            RuntimeError: the kernel ended, or did not answer in time.
        """
        until = None if timeout is None else clock.monotonic() + timeout
        asked: set[str] = set()
        answer: dict[str, Any] | None = None
        while not (answer is not None and await self._idle_after(asked)):
            asked.add(str(self.kernel_info()))
            if (message := await _next(self.shell_channel, _ANSWER)) is not None and message["msg_type"] == "kernel_info_reply":
                answer = message
            elif not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            elif until is not None and clock.monotonic() > until:
                raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")
        self._handle_kernel_info_reply(answer)

    async def _idle_after(self, asked: Container[str]) -> bool:
        """Whether the end of one of these requests is heard of; what comes before it is dropped."""
        while (message := await _next(self.iopub_channel, _SUBSCRIBED)) is not None:
            ends = message["msg_type"] == "status" and message["content"].get("execution_state") == "idle"
            if ends and message["parent_header"].get("msg_id") in asked:
                return True
        return False


class HoldfastKernelManager(AsyncKernelManager):
    """Starts ``python -m holdfast.kernel`` of this interpreter, found without any installed kernelspec."""

    forked = False

    @property
    def kernel_spec(self) -> KernelSpec:
        """The spec of that kernel."""
        if self._kernel_spec is None:
            self._kernel_spec = spec(forked=self.forked)
        return self._kernel_spec


class Reply:
    """What the kernel said of one cell."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.content: dict[str, Any] = dict(message.get("content") or {})
        told = (message.get("metadata") or {}).get("holdfast")
        self.told: dict[str, Any] = dict(told) if isinstance(told, Mapping) else {}
        self.allowed = False  # an error that the cell's tags or the caller allow

    @property
    def state(self) -> str:
        """``ran | skipped | failed | suspended | cancelled | fenced``."""
        state = str(self.told.get("state") or ("ran" if self.content.get("status") == "ok" else "failed"))
        return "ran" if state == "failed" and self.allowed else state


class CellsMixin:
    """Adds metadata to what an nbclient client sends and keeps what the kernel says. Put before ``NotebookClient`` or a subclass."""

    holdfast_run: dict[str, Any] | None = None
    reply: Reply | None = None
    on_output: Callable[[int, Any], None] | None = None
    on_update: Callable[[int, Any], None] | None = None
    #: Held while an output enters the notebook, so that it can be written out from another thread.
    notebook_lock: threading.RLock

    def prepare(
        self,
        lock: threading.RLock,
        on_output: Callable[[int, Any], None] | None,
        on_update: Callable[[int, Any], None] | None = None,
    ) -> None:
        """Wire the client up; before anything else is done with it."""
        self.notebook_lock, self.on_output, self.on_update = lock, on_output, on_update
        theirs = getattr(self, "on_cell_executed", None)

        async def executed(cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any] | None) -> None:
            self.reply = Reply(execute_reply or {})
            if theirs is not None:
                from nbclient.util import run_hook

                await run_hook(theirs, cell=cell, cell_index=cell_index, execute_reply=execute_reply)

        setattr(self, "on_cell_executed", executed)  # noqa: B010 - a trait of the class beside this one

    async def async_execute_cell(self, cell: NotebookNode, cell_index: int, *arguments: Any, **options: Any) -> NotebookNode:
        """Send the cell with the metadata that a front-end sends and Holdfast's own."""
        self.reply = None
        kept = {k: v for k, v in cell.metadata.items() if k not in _LEFT_OUT}
        self.kc.request_metadata = {**kept, "cellId": cell.get("id"), "holdfast_run": self.holdfast_run}  # type: ignore[attr-defined]
        return await super().async_execute_cell(cell, cell_index, *arguments, **options)  # type: ignore[misc,no-any-return]

    execute_cell = run_sync(async_execute_cell)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Take one message of the kernel into the notebook."""
        updates = msg["msg_type"] == "update_display_data"
        with self.notebook_lock:
            output = super().process_message(msg, cell, cell_index)  # type: ignore[misc]
        if output is not None and self.on_output is not None:
            self.on_output(cell_index, output)
        elif updates and self.on_update is not None:
            self.on_update(cell_index, {"output_type": "display_data", "data": msg["content"].get("data") or {}})
        return output


class CellsClient(CellsMixin, NotebookClient):
    """The client of ``holdfast run``."""


def manager(*, forked: bool = False) -> HoldfastKernelManager:
    """A manager of one kernel, not started. ``forked``: a nursery is asked for it first."""
    from traitlets.config import Config as Traits

    kernels = HoldfastKernelManager(kernel_name="holdfast", config=Traits())
    kernels.forked = forked
    kernels.client_factory = MetadataClient
    kernels.shutdown_wait_time = 2.0
    encrypt(kernels)
    return kernels


def encrypt(kernels: Any) -> None:
    """Let messages to and from the kernel be encrypted, where the installed libraries can."""
    import zmq

    if "transport_encryption" in kernels.trait_names() and zmq.has("curve"):
        kernels.transport_encryption = "auto"

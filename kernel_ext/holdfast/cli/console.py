"""jupyter_console's terminal on a Holdfast kernel that belongs to one shell execution."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_console.app import ZMQTerminalIPythonApp

from holdfast.config import Config
from holdfast.engine.cells import encrypt, request_content, spec


class ConsoleClient(BlockingKernelClient):
    """Numbers what is typed, so that the same text typed twice is two cells."""

    typed: ClassVar[int] = 0

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
        metadata: dict[str, Any] = {}
        if not silent and code.strip():
            ConsoleClient.typed += 1
            metadata["cellId"] = f"in{ConsoleClient.typed}"
        message = self.session.msg("execute_request", content, metadata=metadata)
        self.shell_channel.send(message)
        return str(message["header"]["msg_id"])


class ConsoleManager(KernelManager):
    """Starts the kernel of this interpreter, with the environment of the execution."""

    options: ClassVar[dict[str, Any]] = {}

    @property
    def kernel_spec(self) -> KernelSpec:
        """The spec of that kernel."""
        if self._kernel_spec is None:
            self._kernel_spec = spec()
        return self._kernel_spec

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        encrypt(self)
        return await super()._async_pre_start_kernel(**{**options, **ConsoleManager.options})


class Console(ZMQTerminalIPythonApp):  # type: ignore[misc]
    """The application, told what to start and what to say."""

    name = "holdfast-shell"
    kernel_manager_class = ConsoleManager
    kernel_client_class = ConsoleClient
    greeting = ""

    def init_shell(self) -> None:
        """Make the terminal."""
        super().init_shell()
        self.shell.banner = Console.greeting


def run_console(config: Config, execution: str, typed: int, *, simple_prompt: bool = False) -> None:
    """Run the terminal until it is left. Once per process.

    Args:
        config: the settings; the kernel claims the execution by itself.
        execution: its id.
        typed: how many cells the session has seen before.
        simple_prompt: no colours, no line editing.
    """
    ConsoleClient.typed = typed
    again = " (resumed)" if typed else ""
    Console.greeting = f"Holdfast shell, execution {execution}{again}. What runs here is recorded. Ctrl-D ends.\n\n"
    environment = msgspec.structs.replace(config, execution=execution, fence=None).process_environment()
    arguments = ["--ZMQTerminalIPythonApp.confirm_exit=False", "--log-level=ERROR"]
    with _log(config.state_dir / "kernels" / execution) as log:
        ConsoleManager.options = {"env": environment, "stdout": log, "stderr": log}
        Console.launch_instance([*arguments, "--simple-prompt"] if simple_prompt else arguments)


@contextmanager
def _log(folder: Path) -> Iterator[int]:
    """Where the kernel's process writes by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "shell.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield log
    finally:
        os.close(log)

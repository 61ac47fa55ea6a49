"""Kernels forked by a nursery (:mod:`holdfast.kernel.nursery`), where there is one; started afresh where it cannot."""

from __future__ import annotations

import json
import os
import signal
import socket
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from holdfast.foundation import clock, process

#: What kernelspecs name it; jupyter_client finds it by this.
NAME = "holdfast-nursery"
KernelProvisionerFactory.provisioners[NAME] = EntryPoint(NAME, f"{__name__}:ForkingProvisioner", KernelProvisionerFactory.GROUP_NAME)

_PATIENCE = 5.0  # seconds


class ForkedProcess:
    """What a provisioner needs of a process that is no child of this one."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, started: str) -> None:
        self.pid, self._started = pid, started

    def poll(self) -> int | None:
        """None while it is there; how it ended is not known."""
        return None if process.alive(self.pid, self._started) else 1

    def wait(self) -> int:
        """Until it is gone."""
        while self.poll() is None:
            clock.sleep(0.02)
        return 1

    def send_signal(self, number: int) -> None:
        """To that very process.

        Raises:
            ProcessLookupError: it is gone.
        """
        if self.poll() is not None:
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkingProvisioner(LocalProvisioner):
    """Asks the nursery that the environment names (``HOLDFAST_KERNEL_NURSERY``) for a kernel; starts one itself when it gets none."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Launch a kernel with a command."""
        forked = fork(cmd, kwargs)
        if forked is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = forked  # type: ignore[assignment]
        self.pid = self.pgid = forked.pid  # it leads a session of its own
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info


def fork(command: list[str], options: dict[str, Any]) -> ForkedProcess | None:
    """A kernel of the nursery; None when there is none to be had."""
    environment: dict[str, str] = dict(options.get("env") or {})
    place, outputs = environment.get("HOLDFAST_KERNEL_NURSERY"), (options.get("stdout"), options.get("stderr"))
    # faults may kill "the parent" of a kernel, which is to be its engine
    if not place or environment.get("HOLDFAST_FAULTS") or not all(isinstance(o, int) and o >= 0 for o in outputs):
        return None
    keeper = [os.getpid(), process.start_time(os.getpid())]
    folder = str(options.get("cwd") or Path.cwd())
    request = {"arguments": command[command.index("-f") :], "environment": environment, "folder": folder, "keeper": keeper}
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(place)
            line = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(connection, [line], [int(o) for o in outputs if o is not None])
            connection.sendall(line[sent:])
            answer = json.loads(connection.makefile("rb").readline() or b"{}")
    except (OSError, ValueError):
        return None
    return ForkedProcess(int(answer["pid"]), str(answer["started"])) if "pid" in answer else None

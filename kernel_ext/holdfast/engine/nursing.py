"""A nursery of one's own (:mod:`holdfast.kernel.nursery`): kernels are forked from it instead of being started one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from holdfast.engine.cells import KERNEL_ENVIRONMENT


class Nursery:
    """A process that forks kernels, from :meth:`look` to :meth:`stop`; it ends by itself when this process does.

    Without it, or before it has imported what it needs, kernels are started the usual way.

    Args:
        environment: of the nursery: what acts when an interpreter is loaded must be as it is for the kernels.
        place: of its socket; by default in a folder of its own, which goes with it.
    """

    def __init__(self, environment: Mapping[str, str], place: Path | None = None) -> None:
        self._environment = {**environment, **KERNEL_ENVIRONMENT, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # quiet at its import
        self._folder = tempfile.mkdtemp(prefix="holdfast-nursery-") if place is None else None  # 0700, and short enough for a socket
        self.place = Path(self._folder, "k") if self._folder is not None else place
        self.process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Start it where it does not run: it has ended by itself when a module that it had imported changed on disk."""
        if self.process is not None and self.process.poll() is None:
            return
        self._close()
        command = [sys.executable, "-m", "holdfast.kernel.nursery", str(self.place)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=self._environment)

    def stop(self) -> None:
        """End it; its kernels end with whoever they work for."""
        self._close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _close(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        process.wait()


def usable() -> bool:
    """Whether kernels can be forked here."""
    return hasattr(os, "fork") and sys.platform == "linux"

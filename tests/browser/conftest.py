"""JupyterLab in real Chromium."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.foundation import clock

TOKEN = "for-tests-only"
START_SECONDS = 60.0


class Lab:
    """A JupyterLab server in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Lab:
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--notebook-dir={self.folder}"]
        command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}", f"--IdentityProvider.token={TOKEN}"]
        command += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "JUPYTER"))},
            "JUPYTER_CONFIG_DIR": str(self.folder / ".config"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / ".settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / ".workspaces"),
            "IPYTHONDIR": str(self.folder / ".ipython"),
        }
        with (self.folder / "lab.log").open("w") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = clock.monotonic() + START_SECONDS
        while not self._answers():
            assert clock.monotonic() < deadline, (self.folder / "lab.log").read_text()[-3000:]
            clock.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/api?token={TOKEN}", timeout=2).close()
        except OSError:
            return False
        return True

    def notebook(self, name: str, front: str = "lab") -> str:
        """The address of a notebook, opened alone in JupyterLab or (``front`` "notebook") in Notebook 7, which this server has, too."""
        return f"{self.url}/lab/tree/{name}?token={TOKEN}&reset" if front == "lab" else f"{self.url}/notebooks/{name}?token={TOKEN}"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A running JupyterLab."""
    with Lab(tmp_path) as running:
        yield running

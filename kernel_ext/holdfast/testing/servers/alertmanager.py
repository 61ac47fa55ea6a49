"""An Alertmanager on loopback: the real one where it is installed (Debian: prometheus-alertmanager), else a stand-in of its silences after
the API of 0.25: each POST makes a silence with a new id, a deleted one is expired and stays listed, deleting it again is refused."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from holdfast.foundation import clock
from holdfast.testing.servers.standing_in import Came, Said, StandIn

_CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


class AlertmanagerServer:
    """From ``with`` to its end.

    Args:
        folder: for its configuration and data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        self.real = self._program is not None
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> AlertmanagerServer:
        if self._program is None:
            self._silences = _Silences().__enter__()
            self.url = self._silences.url
            return self
        config = self._folder / "alertmanager.yml"
        config.write_text(_CONFIG)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        where = [f"--config.file={config}", f"--storage.path={self._folder}", f"--web.listen-address=127.0.0.1:{port}"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            [self._program, *where, "--cluster.listen-address="], stdout=quiet, stderr=quiet, start_new_session=True
        )
        self.url = f"http://127.0.0.1:{port}"
        until = clock.monotonic() + 60
        while clock.monotonic() < until and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).close()
                return self
            except OSError:
                clock.sleep(0.05)
        self.__exit__(None, None, None)
        raise RuntimeError("Alertmanager did not start")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        elif self._program is None:
            self._silences.__exit__(kind, error, trace)

    def silences(self, state: str = "active") -> list[dict[str, Any]]:
        """Those in that state."""
        with urllib.request.urlopen(f"{self.url}/api/v2/silences", timeout=30) as answer:
            return [one for one in json.load(answer) if one["status"]["state"] == state]

    def clear(self) -> None:
        """Expire every silence."""
        for one in self.silences():
            urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/v2/silence/{one['id']}", method="DELETE"), timeout=30).close()


class _Silences(StandIn):
    def __init__(self) -> None:
        super().__init__()
        self.silences: dict[str, dict[str, Any]] = {}

    def answer(self, came: Came) -> Said:
        name = came.path.rpartition("/")[2]
        if came.method == "POST":
            name = str(uuid.uuid4())
            self.silences[name] = {**came.document, "id": name, "status": {"state": "active"}}
            return Said(document={"silenceID": name})
        if name == "silences":
            return Said(document=list(self.silences.values()))
        if name == "alerts":
            return Said(document=[])
        if name not in self.silences:
            return Said(404, "silence not found")
        if came.method != "DELETE":
            return Said(document=self.silences[name])
        if self.silences[name]["status"]["state"] == "expired":
            return Said(500, f"silence {name} already expired")
        self.silences[name]["status"]["state"] = "expired"
        return Said()

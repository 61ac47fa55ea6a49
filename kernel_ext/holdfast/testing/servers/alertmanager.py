"""An Alertmanager on loopback: the real one where it is installed (Debian: prometheus-alertmanager), else a stand-in of its silences after
the API of 0.25: each POST makes a silence with a new id, a deleted one is expired and stays listed, deleting it again is refused."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from holdfast.foundation import clock

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
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"silences": {}}))
            self._server.daemon_threads = True
            threading.Thread(target=self._server.serve_forever, name="alertmanager", daemon=True).start()
            self.url = f"http://127.0.0.1:{self._server.server_port}"
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
            self._server.shutdown()
            self._server.server_close()

    def silences(self, state: str = "active") -> list[dict[str, Any]]:
        """Those in that state."""
        with urllib.request.urlopen(f"{self.url}/api/v2/silences", timeout=30) as answer:
            return [one for one in json.load(answer) if one["status"]["state"] == state]

    def clear(self) -> None:
        """Expire every silence."""
        for one in self.silences():
            urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/v2/silence/{one['id']}", method="DELETE"), timeout=30).close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    silences: dict[str, dict[str, Any]]

    def log_message(self, format: str, *args: Any) -> None:
        """The silences are enough."""

    def handle_any(self) -> None:
        """One request."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = self.path.rpartition("/")[2]
        status = 200
        document: Any = None
        if self.command == "POST":
            name = str(uuid.uuid4())
            self.silences[name] = {**json.loads(raw), "id": name, "status": {"state": "active"}}
            document = {"silenceID": name}
        elif name == "silences":
            document = list(self.silences.values())
        elif self.path.endswith("/alerts"):
            document = []
        elif name not in self.silences:
            status, document = 404, "silence not found"
        elif self.command == "DELETE":
            expired = self.silences[name]["status"]["state"] == "expired"
            status, document = (500, f"silence {name} already expired") if expired else (200, None)
            self.silences[name]["status"]["state"] = "expired"
        else:
            document = self.silences[name]
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = handle_any

"""The how-to's integration is put together as the page says, and passes the contract suite."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from holdfast.testing.contracts.integration import IntegrationContract, Subject

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-an-integration.md"


class FarSide(BaseHTTPRequestHandler):
    """The ticket system of the page."""

    tickets: list[dict[str, Any]] = []
    looked: list[str] = []
    refuse = 0
    token, url = "s3cret-of-acme", ""

    def log_message(self, format: str, *args: object) -> None:
        """The tickets are enough."""

    def handle_any(self) -> None:
        """One request."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = parse_qs(urlsplit(self.path).query)
        if FarSide.refuse and self.command == "POST":
            FarSide.refuse -= 1
            return self._send(429, {})
        if self.command == "POST":
            self.tickets.append({**json.loads(raw), "number": len(self.tickets) + 1, "object": f"#{len(self.tickets) + 1}", "days": 5})
            return self._send(200, self.tickets[-1])
        self.looked.append(self.path)
        return self._send(200, [t for t in self.tickets if t["reference"] in query.get("reference", [t["reference"]])])

    def _send(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = handle_any

    @classmethod
    def reset(cls) -> None:
        """No tickets."""
        cls.tickets.clear()

    @classmethod
    def limit(cls, n: int) -> None:
        """The next creations are refused."""
        cls.refuse = n

    @classmethod
    def looks(cls) -> int:
        """How often it was asked."""
        return len(cls.looked)


class TestHowTo(IntegrationContract):
    """The page's own test, on the page's own files."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
        folder = tmp_path_factory.mktemp("acme")
        for name, text in re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        (folder / "acme_holdfast.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-holdfast\nVersion: 1.0\n")
        (folder / "acme" / "__init__.py").touch()
        server = ThreadingHTTPServer(("127.0.0.1", 0), FarSide)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        FarSide.url = f"http://127.0.0.1:{server.server_port}"
        spec = importlib.util.spec_from_file_location("test_acme", folder / "test_acme.py")
        assert spec is not None and spec.loader is not None
        page = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(page)
        make: Callable[..., Subject] = page.TestAcme.__dict__["subject"]._get_wrapped_function().__func__
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = str(folder)  # as if it were installed: the cells' processes are started from here
        yield make(page.TestAcme, FarSide)
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
        sys.modules.pop("test_acme", None)
        server.shutdown()
        server.server_close()

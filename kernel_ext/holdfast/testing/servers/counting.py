"""An HTTP server that writes down every request before it answers, and misbehaves on demand.

``python -m holdfast.testing.servers.counting LOG [PORT]`` serves on 127.0.0.1; :class:`CountingServer` starts and stops it as a process of
its own. Each request becomes one JSON line of LOG, synced, *before* the answer is sent: the log is the truth about effects.

How a path behaves is said in its query: ``status=503`` (``n=2``: only the first two times, then 200), ``delay=0.5`` (seconds before
the answer), ``reset=1`` (the connection is reset after the request was logged; ``n`` as above), ``close=1`` (closed without an
answer), ``after=10`` (retry-after header), ``gzip=1``, ``chunked=1``, ``size=N`` (bytes of body), ``cookie=name``, ``to=PATH`` (302),
``truncate=1`` (ends in the middle of the body). ``/things/ID`` remembers: PUT makes it (201, then 200; with ``strict=1`` 409),
DELETE removes it (204, then 404), GET reads it. A POST with an Idempotency-Key seen before is answered as the first one was (``honour=1``).
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from holdfast.foundation import clock


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """The log file is enough."""

    def handle_any(self) -> None:
        """Log, then behave as the query says."""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        body = self._body()
        times = self.server.record(self.command, self.path, dict(self.headers.items()), body)
        first = times <= int(query.get("n", 1 << 30))
        if "delay" in query and first:
            clock.sleep(float(query["delay"]))
        if ("reset" in query or "close" in query) and first:
            if "reset" in query:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RD)
            self.connection.close()
            return
        status, answer = self._answer(parts.path, query, body)
        if "status" in query and first:
            status = int(query["status"])
        self._send(status, answer, query)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_any

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        things = self.server.things
        if path.startswith("/things/"):
            if self.command == "PUT":
                status = (409 if "strict" in query else 200) if path in things else 201
                things[path] = body
                return status, body
            if self.command == "DELETE":
                return (204, b"") if things.pop(path, None) is not None else (404, b'{"error": "no such thing"}')
            return (200, things[path]) if path in things else (404, b'{"error": "no such thing"}')
        if "size" in query:
            return 200, (b"0123456789abcdef" * (int(query["size"]) // 16 + 1))[: int(query["size"])]
        key = self.headers.get("Idempotency-Key", "")
        with self.server.lock:
            number = self.server.numbers.get(key) if key and "honour" in query else None
            if number is None:
                number = self.server.numbers[key or f"#{len(self.server.numbers)}"] = len(self.server.numbers) + 1
        return 200, json.dumps({"method": self.command, "path": path, "number": number, "body": body.decode("utf-8", "replace")}).encode()

    def _send(self, status: int, body: bytes, query: dict[str, str]) -> None:
        if "to" in query:
            status, body = 302, b""
        if status == 204:
            body = b""
        headers = {"Content-Type": "application/json" if body[:1] in b"{[" else "text/plain; charset=utf-8"}
        if "to" in query:
            headers["Location"] = query["to"]
        if "after" in query:
            headers["Retry-After"] = query["after"]
        if "cookie" in query:
            headers["Set-Cookie"] = f"{query['cookie']}=chocolate; Path=/"
        if "gzip" in query:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "chunked" in query:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 1000):
                piece = body[at : at + 1000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if "truncate" in query else body)
        if "truncate" in query:
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """Counts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, log: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.lock = threading.Lock()
        self.times: Counter[tuple[str, str]] = Counter()
        self.things: dict[str, bytes] = {}
        self.numbers: dict[str, int] = {}

    def record(self, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
        """Write the request down for good; returns how often it was made."""
        text = body[:4096].decode("utf-8", "replace")
        line = json.dumps({"method": method, "path": path, "headers": headers, "body": text, "size": len(body)})
        with self.lock:
            os.write(self.log, line.encode() + b"\n")
            os.fsync(self.log)
            self.times[method, path] += 1
            return self.times[method, path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the game."""


class CountingServer:
    """The server as a process of its own, which a killed test driver does not take along.

    Args:
        folder: where its log is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.log = folder / "requests.jsonl"
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> CountingServer:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.log)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("the counting server did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=10)

    def requests(self, method: str | None = None, path: str | None = None) -> list[dict[str, Any]]:
        """The requests as they arrived; ``path`` without its query."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [json.loads(line) for line in lines]
        return [r for r in found if method in (None, r["method"]) and path in (None, r["path"].partition("?")[0])]


def main(log: str, port: str = "0") -> None:
    """Serve until terminated; the first line printed is the address."""
    server = Server(Path(log), int(port))
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

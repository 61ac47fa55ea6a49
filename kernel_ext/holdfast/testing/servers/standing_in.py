"""What stand-ins of vendors' JSON APIs share: a server on loopback that notes what arrived, and on demand refuses for the rate or loses
an answer."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgspec

from holdfast.foundation import clock


class Came(msgspec.Struct, frozen=True):
    """A request that arrived."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in small letters
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON types; an empty dict where there is none."""
        return json.loads(self.body) if self.body else {}


class Said(msgspec.Struct, frozen=True):
    """An answer."""

    status: int = 200
    document: Any = None  # JSON types; bytes go out as they are
    headers: Mapping[str, str] = {}


class StandIn:
    """Serves on 127.0.0.1 from ``with`` to its end; a subclass says in :meth:`answer` what the vendor would."""

    kind = "application/json"
    tls: ssl.SSLContext | None = None  # what it proves who it is with

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: list[Any] = []  # see :meth:`note`
        self.refuse = 0  # so many of the next requests are refused for the rate
        self.lose: list[str] = []  # the next request with this method and path ("POST /x") is obeyed, and its answer lost
        self.address = ("127.0.0.1", 0)

    def __enter__(self) -> Self:
        self._server = server = _Server(self.address, type("Handler", (_Handler,), {"world": self}))
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, name=type(self).__name__, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_port}"

    def asked(self, method: str, path: str) -> int:
        """How often that was requested."""
        return self.requests.count((method, path))

    def note(self, came: Came) -> None:
        """Write down what arrived: method and path."""
        self.requests.append((came.method, came.path))

    def answer(self, came: Came) -> Said | None:
        """What the vendor says to a request; None: it is lost on its way. Called under the lock."""
        raise NotImplementedError

    def refusal(self) -> Said:
        """What the vendor says to one who asks too often."""
        return Said(429)

    def take(self, came: Came) -> Said | None:
        """One request; None: the answer gets lost."""
        with self.lock:
            self.note(came)
            if self.refuse:
                self.refuse -= 1
                return self.refusal()
            said = self.answer(came)
            if f"{came.method} {came.path}" in self.lose:
                self.lose.remove(f"{came.method} {came.path}")
                return None
            return said


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed is part of the game."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: StandIn

    def log_message(self, format: str, *args: Any) -> None:
        """What arrived is in ``requests``."""

    def handle_any(self) -> None:
        """One request."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = self.world.take(Came(self.command, parts.path, parse_qs(parts.query, keep_blank_values=True), headers, raw))
        if said is None:
            self.close_connection = True
            return
        document = said.document
        body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
        self.send_response(said.status)
        for name, value in {"Content-Type": self.world.kind, **said.headers}.items():
            self.send_header(name, value)
        if said.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and said.status != 204:
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any


def serve_until_interrupted(make: Callable[[], StandIn], port: int, said: str) -> None:
    """For trying things by hand: serve on that port until Ctrl-C, after saying how to reach it."""
    server = make()
    server.address = ("127.0.0.1", port)
    with server:
        print(said.format(url=server.url), flush=True)  # noqa: T201 - for the person who started it
        try:
            while True:
                clock.sleep(3600)
        except KeyboardInterrupt:
            return

"""What stands before every request: size and time limits, headers that keep browsers careful, the host it is meant for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from holdfast.errors import HoldfastError, OperatorError, RequestError
from holdfast.gateway import problems

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_CSP: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
_log = logging.getLogger("holdfast.gateway")


class Guard:
    """Wraps the application.

    Args:
        app: what is guarded.
        largest: bytes of a request body.
        timeout: seconds until a request that has not begun to be answered is given up.
        hosts: the host names that may be asked for; empty: any.
        framed: whether pages of the same origin may show ours in a frame (JupyterLab does).
    """

    def __init__(self, app: App, *, largest: int, timeout: float, hosts: Iterable[str] = (), framed: bool = False) -> None:
        self._app, self._largest, self._timeout, self._hosts = app, largest, timeout, frozenset(hosts)
        csp = _CSP.format(ancestors="'self'" if framed else "'none'")
        self._headers = [
            (b"content-security-policy", csp.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = asyncio.Event()

        limit = _Limit(receive, self._largest)

        async def guarded_send(message: Message) -> None:
            if limit.exceeded and not begun.is_set():
                return  # the application takes it for a broken connection; we know better
            if message["type"] == "http.response.start":
                begun.set()
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in self._headers if h[0] not in there)]
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                raise refusal
            work: asyncio.Future[Any] = asyncio.ensure_future(self._work(scope, limit, guarded_send))
            await self._in_time(work, begun)
            if limit.exceeded and not begun.is_set():
                raise self._too_large()
        except HoldfastError as error:
            limit.exceeded = False
            await self._tell(error, begun, scope, receive, guarded_send)
        except Exception as error:
            _log.exception("a fault in the gateway at %s", scope.get("path"))
            if begun.is_set():
                raise
            fault = OperatorError("HF258", f"{type(error).__name__}", cure="The server's log has the rest. Nothing recorded is lost.")
            await problems.response(fault, status=500)(scope, receive, guarded_send)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _tell(self, error: HoldfastError, begun: asyncio.Event, scope: Scope, receive: Receive, send: Send) -> None:
        if begun.is_set():
            raise error
        await problems.response(error)(scope, receive, send)

    async def _in_time(self, work: asyncio.Future[Any], begun: asyncio.Event) -> None:
        started: asyncio.Future[Any] = asyncio.ensure_future(begun.wait())
        try:
            await asyncio.wait([work, started], timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not begun.is_set():
                raise RequestError(
                    "HF712", f"the request took over {self._timeout:g} s", cure="Look whether it was done before trying again."
                )
            await work
        finally:
            started.cancel()
            if not work.done():
                work.cancel()

    def _refusal(self, scope: Scope) -> HoldfastError | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").rpartition("@")[2]
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self._hosts and name.strip("[]").lower() not in self._hosts:
            return RequestError("HF710", "the request is meant for another host", cure="Set public_url to the address people use.")
        length = headers.get(b"content-length", b"0").decode("latin-1")
        if not length.isdigit():
            return RequestError("HF710", "the length of the request is not a number", cure="Send the right Content-Length.")
        return self._too_large() if int(length) > self._largest else None

    def _too_large(self) -> RequestError:
        return RequestError("HF711", f"the request has more than {self._largest} bytes", cure="Send less (setting max_request_bytes).")


class _Limit:
    """Reads a request's body, and breaks off when it gets too long."""

    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive, self._left = receive, largest
        self.exceeded = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.exceeded = True
            return {"type": "http.disconnect"}
        return message

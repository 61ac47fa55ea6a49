"""httpx (and httpx2): the real transports; mock, ASGI and WSGI transports stay as they are."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import AsyncIterable, Iterable
from typing import Any

from holdfast.durable.dialect import conduct_of
from holdfast.durable.interceptor import Attempt, Recorder
from holdfast.durable.interceptors.conducting import Conduct
from holdfast.durable.interceptors.http import (
    BODY_LIMIT,
    Fate,
    Sent,
    assumed,
    failed,
    fate_of_cause,
    further,
    make_sent,
    too_large,
)


class HttpxInterceptor:
    """Wraps ``HTTPTransport.handle_request`` and ``AsyncHTTPTransport.handle_async_request``: one call per hop of a redirect."""

    name = "httpx"
    modules: tuple[str, ...] = ("httpx", "httpx2")

    def __init__(self) -> None:
        self._originals: dict[str, tuple[Any, Any]] = {}

    def install(self, recorder: Recorder) -> None:
        """Wrap those that are imported."""
        for name in self.modules:
            if name in sys.modules and name not in self._originals:
                self._install(importlib.import_module(name), recorder)

    def uninstall(self) -> None:
        """Undo."""
        for name, (sync, coroutine) in self._originals.items():
            module: Any = sys.modules[name]
            module.HTTPTransport.handle_request, module.AsyncHTTPTransport.handle_async_request = sync, coroutine
        self._originals.clear()

    def _install(self, module: Any, recorder: Recorder) -> None:
        sync, coroutine = module.HTTPTransport.handle_request, module.AsyncHTTPTransport.handle_async_request
        self._originals[module.__name__] = (sync, coroutine)

        @functools.wraps(sync)
        def handle_request(transport: Any, request: Any) -> Any:
            __tracebackhide__ = True
            return _perform(recorder, module, sync, transport, request) if recorder.active else sync(transport, request)

        @functools.wraps(coroutine)
        async def handle_async_request(transport: Any, request: Any) -> Any:
            __tracebackhide__ = True
            if not recorder.active:
                return await coroutine(transport, request)
            return await _perform_async(recorder, module, coroutine, transport, request)

        module.HTTPTransport.handle_request = handle_request
        module.AsyncHTTPTransport.handle_async_request = handle_async_request


def _perform(recorder: Recorder, module: Any, sync: Any, transport: Any, request: Any) -> Any:
    __tracebackhide__ = True
    parts = None if hasattr(request, "_content") else _read(request.stream)
    sent = _sent(request, parts)
    conduct = conduct_of(sent, functools.partial(_fate, module))
    if sent.passes or not conduct.recorded:
        if parts is not None:
            request.stream = _once(module, parts)
        with recorder.passthrough():
            return sync(transport, request)

    def send(out: Sent) -> dict[str, Any]:
        response = sync(transport, _made(module, request, sent, out, parts))
        body = b"".join(response.stream)
        response.close()
        return _store(response, body)

    def ask(method: str, path: str, document: Any = None) -> dict[str, Any]:
        return send(further(sent, method, path, document))

    def look(path: str) -> dict[str, Any]:
        response = _perform(recorder, module, sync, transport, _made(module, request, sent, further(sent, "GET", path, None), parts))
        return _store(response, b"".join(response.stream))

    def do(attempt: Attempt) -> dict[str, Any]:
        try:
            answer = send(conduct.prepared(attempt))
        except Exception as e:
            raise conduct.guard(e)  # noqa: B904 - it has its cause
        return conduct.settle(attempt, answer, ask)

    conduct.look(look)
    return recorder.perform(
        conduct.request(),
        do,
        load=functools.partial(_load, module),
        probe=conduct.probe(ask),
        transient=conduct.transient,
        failed=conduct.failed,
        assumed=conduct.assumed,
        preview=conduct.preview(send),
    )


async def _perform_async(recorder: Recorder, module: Any, coroutine: Any, transport: Any, request: Any) -> Any:
    __tracebackhide__ = True
    parts = None if hasattr(request, "_content") else await _read_async(request.stream)
    sent = _sent(request, parts)
    if sent.passes:
        if parts is not None:
            request.stream = _once(module, parts)
        with recorder.passthrough():
            return await coroutine(transport, request)
    conduct = Conduct(sent, functools.partial(_fate, module))

    async def do(attempt: Attempt) -> dict[str, Any]:
        try:
            response = await coroutine(transport, _made(module, request, sent, conduct.prepared(attempt), parts))
            body = b"".join([part async for part in response.stream])
            await response.aclose()
        except Exception as e:
            raise conduct.guard(e)  # noqa: B904 - it has its cause
        return conduct.settle(attempt, _store(response, body))

    return await recorder.perform_async(
        sent.request(), do, load=functools.partial(_load, module), transient=conduct.transient, failed=failed, assumed=assumed
    )


def _read(stream: Iterable[bytes]) -> list[bytes]:
    parts, size = [], 0
    for part in stream:
        parts.append(part)
        size += len(part)
        if size > BODY_LIMIT:
            raise too_large()
    return parts


async def _read_async(stream: AsyncIterable[bytes] | Iterable[bytes]) -> list[bytes]:
    if not hasattr(stream, "__aiter__"):
        return _read(stream)
    parts, size = [], 0
    async for part in stream:
        parts.append(part)
        size += len(part)
        if size > BODY_LIMIT:
            raise too_large()
    return parts


def _sent(request: Any, parts: list[bytes] | None) -> Sent:
    body = request.content if parts is None else b"".join(parts)
    return make_sent("httpx", request.method, str(request.url), request.headers.multi_items(), body or None)


def _once(module: Any, parts: list[bytes]) -> Any:
    """A stream of the parts, for both kinds of transport."""

    class Parts(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Any:
            yield from parts

        async def __aiter__(self) -> Any:
            for part in parts:
                yield part

    return Parts()


def _made(module: Any, request: Any, sent: Sent, out: Sent, parts: list[bytes] | None) -> Any:
    """``out`` as a request of the library; the author's own object stays as it is."""
    if out.body is not sent.body:
        return module.Request(out.method, out.url, headers=out.headers, content=out.body, extensions=request.extensions)
    stream = request.stream if parts is None else _once(module, parts)
    return module.Request(out.method, out.url, headers=out.headers, stream=stream, extensions=request.extensions)


def _store(response: Any, body: bytes) -> dict[str, Any]:
    version = response.extensions.get("http_version", b"HTTP/1.1")
    return {
        "status": response.status_code,
        "reason": response.extensions.get("reason_phrase", b"").decode("latin-1"),
        "version": {b"HTTP/1.0": 10, b"HTTP/2": 20}.get(version, 11),
        "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in response.headers.raw],
        "body": body,
    }


def _load(module: Any, answer: dict[str, Any]) -> Any:
    version = {10: b"HTTP/1.0", 20: b"HTTP/2"}.get(answer.get("version") or 11, b"HTTP/1.1")
    return module.Response(
        answer["status"],
        headers=[(n.encode("latin-1"), v.encode("latin-1")) for n, v in answer["headers"]],
        stream=module.ByteStream(answer["body"]),
        extensions={"http_version": version, "reason_phrase": (answer.get("reason") or "").encode("latin-1")},
    )


def _fate(module: Any, error: BaseException) -> Fate:
    if isinstance(error, module.ConnectTimeout | module.PoolTimeout):
        return "unsent"
    if isinstance(error, module.ConnectError):
        fate = fate_of_cause(error)
        return "unsent" if fate == "maybe" else fate
    if isinstance(error, module.LocalProtocolError | module.UnsupportedProtocol | module.ProxyError):
        return "final"
    if isinstance(error, module.TimeoutException | module.NetworkError | module.RemoteProtocolError):
        return "maybe"
    return fate_of_cause(error)

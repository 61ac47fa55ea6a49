"""aiohttp's client."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Mapping
from typing import Any

from holdfast.durable.interceptor import Attempt, Recorder
from holdfast.durable.interceptors.conducting import Conduct
from holdfast.durable.interceptors.http import BODY_LIMIT, Fate, Sent, assumed, failed, fate_of_cause, make_sent, too_large
from holdfast.errors import AuthorError


class AiohttpInterceptor:
    """Wraps ``ClientSession._request``: one call per request, redirects and middlewares inside. WebSockets pass."""

    name = "aiohttp"
    modules: tuple[str, ...] = ("aiohttp",)

    def __init__(self) -> None:
        self._original: Any = None

    def install(self, recorder: Recorder) -> None:
        """Wrap it."""
        from aiohttp import ClientSession

        original = self._original = ClientSession._request

        @functools.wraps(original)
        async def request(session: Any, method: str, str_or_url: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if not recorder.active:
                return await original(session, method, str_or_url, **kwargs)
            return await _perform(recorder, original, session, method, str_or_url, kwargs)

        ClientSession._request = request  # type: ignore[method-assign, assignment]

    def uninstall(self) -> None:
        """Undo."""
        from aiohttp import ClientSession

        ClientSession._request = self._original  # type: ignore[method-assign]


async def _perform(recorder: Recorder, original: Any, session: Any, method: str, str_or_url: Any, kwargs: dict[str, Any]) -> Any:
    kwargs = dict(kwargs)
    strict = kwargs.pop("raise_for_status", None)
    data = kwargs.get("data")
    if _is_stream(data):
        data = kwargs["data"] = await _buffered(data)
    sent = _sent(session, method, str_or_url, kwargs)
    if sent.passes:
        with recorder.passthrough():
            return await original(session, method, str_or_url, raise_for_status=strict, **kwargs)
    conduct = Conduct(sent, _fate)

    async def do(attempt: Attempt) -> dict[str, Any]:
        more = sent.key_header(attempt)
        inner = {**kwargs, "data": _fresh(data), "raise_for_status": False}
        if more:
            inner["headers"] = [*_pairs(kwargs.get("headers")), *more.items()]
        try:
            response = await original(session, method, str_or_url, **inner)
            body = await response.read()
        except Exception as e:
            raise conduct.guard(e)  # noqa: B904 - it has its cause
        return conduct.settle(attempt, _store(response, body))

    load = functools.partial(_load, session, sent)
    response = await recorder.perform_async(sent.request(), do, load=load, transient=conduct.transient, failed=failed, assumed=assumed)
    if strict is None:
        strict = getattr(session, "_raise_for_status", False)
    if callable(strict):
        await strict(response)
    elif strict:
        response.raise_for_status()
    return response


def _pairs(headers: Any) -> list[tuple[str, str]]:
    if headers is None:
        return []
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _sent(session: Any, method: str, str_or_url: Any, kwargs: dict[str, Any]) -> Sent:
    url = session._build_url(str_or_url)
    if kwargs.get("params"):
        url = url.extend_query(kwargs["params"]) if hasattr(url, "extend_query") else url.update_query(kwargs["params"])
    headers = session._prepare_headers(kwargs.get("headers"))
    if kwargs.get("json") is not None:
        serialise = getattr(session, "_json_serialize_bytes", None) or session._json_serialize
        text = serialise(kwargs["json"])
        body: Any = text.encode() if isinstance(text, str) else text
        headers.setdefault("Content-Type", "application/json")
    else:
        body = _form(kwargs.get("data"))
    return make_sent("aiohttp", method, str(url), headers.items(), body)


# ---- bodies ----


def _form(data: Any) -> Any:
    """What a body says, without boundaries and positions in files."""
    from aiohttp import FormData
    from aiohttp.payload import Payload

    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    if isinstance(data, _Buffered):
        return b"".join(data.parts)
    if isinstance(data, FormData):
        return [[dict(options), dict(headers), _form(value)] for options, headers, value in data._fields]
    if isinstance(data, Payload):
        return _form(data._value)
    if isinstance(data, Mapping):
        return [[str(k), _form(v)] for k, v in data.items()]
    if isinstance(data, list | tuple):
        return [_form(v) for v in data]
    if hasattr(data, "read") and hasattr(data, "seek"):
        start = data.tell()
        content = data.read()
        data.seek(start)
        return content.encode() if isinstance(content, str) else content
    if isinstance(data, int | float):
        return data
    raise AuthorError(
        "HF161",
        f"the body of an aiohttp request, a {type(data).__name__}, cannot be recorded",
        cure="send bytes, text, a mapping, FormData or an open file, or make the request a function marked with @call",
    )


class _Buffered:
    """A body that could be read only once, kept."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    async def send(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part


def _is_stream(data: Any) -> bool:
    from aiohttp.payload import Payload

    return hasattr(data, "__aiter__") and not isinstance(data, Payload)


async def _buffered(data: Any) -> _Buffered:
    parts, size = [], 0
    async for part in data:
        parts.append(part)
        size += len(part)
        if size > BODY_LIMIT:
            raise too_large()
    return _Buffered(parts)


def _fresh(data: Any) -> Any:
    """The body for one attempt: a form can be sent only once."""
    from aiohttp import FormData

    if isinstance(data, _Buffered):
        return data.send()
    if not isinstance(data, FormData):
        return data
    fresh = FormData(quote_fields=data._quote_fields, charset=data._charset)
    fresh._fields, fresh._is_multipart = list(data._fields), data._is_multipart
    return fresh


# ---- answers ----


def _store(response: Any, body: bytes) -> dict[str, Any]:
    return {**_head(response), "body": body, "history": [_head(r) for r in response.history]}


def _head(response: Any) -> dict[str, Any]:
    version = response.version
    return {
        "status": response.status,
        "reason": response.reason,
        "version": version.major * 10 + version.minor if version else 11,
        "headers": [[n, v] for n, v in response.headers.items()],
        "url": str(response.real_url),
        "method": response.method,
    }


def _load(session: Any, sent: Sent, answer: dict[str, Any]) -> Any:
    response = _response(session, sent, answer, answer["body"])
    response._history = tuple(_response(session, sent, head, b"") for head in answer.get("history", ()))
    for one in (*response._history, response):
        if one.cookies:
            session.cookie_jar.update_cookies(one.cookies, one.url)
    return response


def _response(session: Any, sent: Sent, answer: dict[str, Any], body: bytes) -> Any:
    """A real response whose content has already arrived."""
    from aiohttp import ClientResponse, HttpVersion, RequestInfo, StreamReader
    from aiohttp.base_protocol import BaseProtocol
    from aiohttp.helpers import TimerNoop
    from multidict import CIMultiDict, CIMultiDictProxy
    from yarl import URL

    loop = asyncio.get_running_loop()
    url, method = URL(answer.get("url") or sent.url), answer.get("method") or sent.method
    asked = CIMultiDictProxy(CIMultiDict(sent.headers))
    known: dict[str, Any] = {
        "writer": None,
        "continue100": None,
        "timer": TimerNoop(),
        "request_info": RequestInfo(url, method, asked, url),
        "traces": [],
        "loop": loop,
        "session": session,
        "stream_writer": _Written(),
        "request_headers": asked,
        "original_url": url,
    }
    wanted = inspect.signature(ClientResponse.__init__).parameters  # it changes from version to version
    response = ClientResponse(method, url, **{name: value for name, value in known.items() if name in wanted})
    version = answer.get("version") or 11
    response.version, response.status, response.reason = HttpVersion(version // 10, version % 10), answer["status"], answer["reason"] or ""
    response._headers = CIMultiDictProxy(CIMultiDict([(n, v) for n, v in answer["headers"]]))
    response._raw_headers = tuple((n.encode("latin-1", "replace"), v.encode("utf-8", "surrogateescape")) for n, v in answer["headers"])
    response._raw_cookie_headers = tuple(response._headers.getall("Set-Cookie", ())) or None
    stream = StreamReader(BaseProtocol(loop), 1 << 16, loop=loop)
    if body:
        stream.feed_data(body)
    stream.feed_eof()
    response.content = stream
    return response


class _Written:
    """Stands for the writer of a request that has been sent."""

    output_size = 0


def _fate(error: BaseException) -> Fate:
    import aiohttp as a

    if isinstance(error, a.ClientConnectorCertificateError | a.ClientConnectorSSLError | a.InvalidURL | a.TooManyRedirects):
        return "final"
    if isinstance(error, a.ClientConnectorError):
        fate = fate_of_cause(error.os_error)
        return "unsent" if fate == "maybe" else fate
    if isinstance(error, a.ConnectionTimeoutError):
        return "unsent"
    if isinstance(error, a.ServerDisconnectedError | a.ClientOSError | a.ClientPayloadError | TimeoutError):
        return "maybe"
    return "final" if isinstance(error, a.ClientError) else fate_of_cause(error)

"""urllib3, and with it requests, the Kubernetes, Datadog and Docker clients and most vendors' SDKs."""

from __future__ import annotations

import functools
import io
from email.message import Message
from http.client import HTTPMessage
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from holdfast.durable.dialect import conduct_of
from holdfast.durable.interceptor import Attempt, Recorder
from holdfast.durable.interceptors.http import Body, Fate, Sent, fate_of_cause, further, make_sent

_POSITIONAL = ("retries", "redirect", "assert_same_host", "timeout", "pool_timeout", "release_conn", "chunked", "body_pos")


class Urllib3Interceptor:
    """Wraps ``HTTPConnectionPool.urlopen``: one call per request, urllib3's own retries and pool redirects inside it."""

    name = "urllib3"
    modules: tuple[str, ...] = ("urllib3",)

    def __init__(self) -> None:
        self._original: Any = None

    def install(self, recorder: Recorder) -> None:
        """Wrap it."""
        from urllib3.connectionpool import HTTPConnectionPool

        original = self._original = HTTPConnectionPool.urlopen

        @functools.wraps(original)
        def urlopen(pool: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if not recorder.active:
                return original(pool, method, url, body, headers, *args, **kwargs)
            kwargs.update(zip(_POSITIONAL, args, strict=False))
            return _perform(recorder, original, pool, method, url, body, headers, kwargs)

        HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign, assignment]

    def uninstall(self) -> None:
        """Undo."""
        from urllib3.connectionpool import HTTPConnectionPool

        HTTPConnectionPool.urlopen = self._original  # type: ignore[method-assign]


def _perform(recorder: Recorder, original: Any, pool: Any, method: str, url: str, body: Any, headers: Any, kwargs: dict[str, Any]) -> Any:
    from urllib3 import HTTPHeaderDict

    headers = pool.headers if headers is None else headers
    once = Body(body)
    sent = make_sent("urllib3", method, _absolute(pool, url), HTTPHeaderDict(headers).iteritems(), once.form)
    if sent.passes:
        with recorder.passthrough():
            return original(pool, method, url, once.again(), headers, **kwargs)
    conduct = conduct_of(sent, _fate)
    if not conduct.recorded:
        with recorder.passthrough():
            return original(pool, method, url, once.again(), headers, **kwargs)
    inner = {**kwargs, "preload_content": False, "decode_content": False}
    inner.pop("release_conn", None)

    def send(out: Sent) -> dict[str, Any]:
        body = once.again() if out.body is sent.body else out.body
        return _store(original(pool, out.method, _as_given(url, out.url), body, HTTPHeaderDict(out.headers), **inner))

    def ask(method: str, path: str, document: Any = None) -> dict[str, Any]:
        return send(further(sent, method, path, document))

    def look(path: str) -> dict[str, Any]:
        out = further(sent, "GET", path, None)
        answer = _perform(recorder, original, pool, "GET", _as_given(url, out.url), None, HTTPHeaderDict(out.headers), dict(inner))
        return _store(answer)

    def do(attempt: Attempt) -> dict[str, Any]:
        try:
            answer = send(conduct.prepared(attempt))
        except Exception as e:
            raise conduct.guard(e)  # noqa: B904 - it has its cause
        return conduct.settle(attempt, answer, ask)

    def load(answer: Any) -> Any:
        return _load(pool, answer, method, url, kwargs)

    conduct.look(look)
    return recorder.perform(
        conduct.request(),
        do,
        load=load,
        probe=conduct.probe(ask),
        transient=conduct.transient,
        failed=conduct.failed,
        assumed=conduct.assumed,
        preview=conduct.preview(send),
    )


def _as_given(url: str, absolute: str) -> str:
    """An address in the form of the first one: pools take paths."""
    parts = urlsplit(absolute)
    return absolute if "://" in url else urlunsplit(("", "", parts.path, parts.query, ""))


def _absolute(pool: Any, url: str) -> str:
    if "://" in url:
        return url
    port = f":{pool.port}" if pool.port else ""
    host = f"[{pool.host}]" if ":" in pool.host and not pool.host.startswith("[") else pool.host
    return f"{pool.scheme}://{host}{port}{url}"


def _store(response: Any) -> dict[str, Any]:
    try:
        body = response.read(decode_content=False)
    finally:
        response.release_conn()
    return {
        "status": response.status,
        "reason": response.reason,
        "version": response.version,
        "headers": [[n, v] for n, v in response.headers.iteritems()],
        "body": body,
        "url": response.geturl(),
    }


def _load(pool: Any, answer: dict[str, Any], method: str, url: str, kwargs: dict[str, Any]) -> Any:
    from urllib3 import HTTPHeaderDict, HTTPResponse, Retry

    headers = HTTPHeaderDict()
    for name, value in answer["headers"]:
        headers.add(name, value)
    retries = kwargs.get("retries")
    if not isinstance(retries, Retry):
        retries = Retry.from_int(retries, redirect=kwargs.get("redirect", True), default=pool.retries)
    body = _Body(answer["body"])
    body.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    return HTTPResponse(
        body,
        headers=headers,
        status=answer["status"],
        reason=answer.get("reason"),
        version=answer.get("version") or 11,
        preload_content=kwargs.get("preload_content", True),
        decode_content=kwargs.get("decode_content", True),
        enforce_content_length=False,
        request_method=method,
        request_url=answer.get("url") or url,
        retries=retries,
        original_response=_Original(answer["headers"]),  # type: ignore[arg-type]
    )


class _Body(io.BytesIO):
    """The body as it came, without the framing. Docker's client asks it how it came."""

    chunked = False


class _Original:
    """What requests' cookie jar asks of the connection's own response."""

    def __init__(self, headers: list[list[str]]) -> None:
        self.msg: Message = HTTPMessage()
        for name, value in headers:
            self.msg[name] = value

    def isclosed(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""


def _fate(error: BaseException) -> Fate:
    from urllib3 import exceptions as e

    if isinstance(error, e.MaxRetryError):
        return "final" if error.reason is None else _fate(error.reason)
    if isinstance(error, e.ProxyError):
        return _fate(error.original_error) if isinstance(error.original_error, BaseException) else "final"
    if isinstance(error, e.NewConnectionError):  # the name could not be resolved, or nobody listens
        return "final" if _permanent(error) else "unsent"
    if isinstance(error, e.ConnectTimeoutError | e.EmptyPoolError):
        return "unsent"
    if isinstance(error, e.SSLError | e.LocationValueError | e.ResponseError):
        return "final"
    if isinstance(error, e.ReadTimeoutError | e.ProtocolError):
        return "maybe"
    return fate_of_cause(error)


def _permanent(error: BaseException) -> bool:
    from urllib3.exceptions import NameResolutionError

    return isinstance(error, NameResolutionError) and fate_of_cause(error.__cause__ or error.__context__) == "final"

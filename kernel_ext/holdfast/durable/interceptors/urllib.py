"""``urllib.request``, and ``http.client`` below it."""

from __future__ import annotations

import functools
import http.client
import io
import sys
from collections.abc import Callable
from email.message import Message
from typing import Any

from holdfast.durable.dialect import conduct_of
from holdfast.durable.interceptor import Attempt, Recorder
from holdfast.durable.interceptors import http_client
from holdfast.durable.interceptors.http import Body, Fate, Sent, fate_of_cause, further, make_sent


class UrllibInterceptor:
    """Wraps ``OpenerDirector.open`` for http and https (one call per request, its redirects inside), and ``HTTPConnection``."""

    name = "urllib"
    modules: tuple[str, ...] = ("http.client", "urllib.request")

    def __init__(self) -> None:
        self._original: Any = None
        self._undo: Callable[[], None] | None = None

    def install(self, recorder: Recorder) -> None:
        """Wrap what is imported."""
        if self._undo is None:
            self._undo = http_client.wrap(recorder, _response)
        if self._original is None and "urllib.request" in sys.modules:
            self._wrap_urllib(recorder)

    def _wrap_urllib(self, recorder: Recorder) -> None:
        from urllib.request import OpenerDirector
        from urllib.request import Request as UrlRequest

        original = self._original = OpenerDirector.open

        @functools.wraps(original)
        def open_url(opener: Any, fullurl: Any, data: Any = None, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            request = UrlRequest(fullurl, data) if isinstance(fullurl, str) else fullurl
            if not recorder.active or request.type not in {"http", "https"}:
                return original(opener, fullurl, data, *args, **kwargs)
            if data is not None:
                request.data = data
            return _perform(recorder, original, opener, request, args, kwargs)

        OpenerDirector.open = open_url  # type: ignore[method-assign, assignment]

    def uninstall(self) -> None:
        """Undo."""
        if self._undo is not None:
            self._undo()
        if self._original is not None:
            from urllib.request import OpenerDirector

            OpenerDirector.open = self._original  # type: ignore[method-assign]
        self._undo = self._original = None


def _perform(recorder: Recorder, original: Any, opener: Any, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from urllib.error import HTTPError
    from urllib.request import HTTPCookieProcessor

    once = Body(request.data)
    headers = dict(opener.addheaders) | dict(request.header_items())
    sent = make_sent("urllib", request.get_method(), request.full_url, headers.items(), once.form)
    request.data = once.again()
    if sent.passes:
        with recorder.passthrough():
            return original(opener, request, None, *args, **kwargs)
    conduct = conduct_of(sent, _fate)
    if not conduct.recorded:
        with recorder.passthrough():
            return original(opener, request, None, *args, **kwargs)

    def send(out: Sent) -> dict[str, Any]:
        one = _made(request, once, sent, out)
        try:
            response = original(opener, one, None, *args, **kwargs)
        except HTTPError as e:
            response = e
        with response:
            return _store(response, response.read())

    def ask(method: str, path: str, document: Any = None) -> dict[str, Any]:
        return send(further(sent, method, path, document))

    def do(attempt: Attempt) -> dict[str, Any]:
        try:
            answer = send(conduct.prepared(attempt))
        except Exception as e:
            raise conduct.guard(e)  # noqa: B904 - it has its cause
        return conduct.settle(attempt, answer, ask)

    def load(answer: dict[str, Any]) -> Any:
        response = _load(answer)
        for handler in opener.handlers:
            if isinstance(handler, HTTPCookieProcessor):
                handler.cookiejar.extract_cookies(response, request)
        if isinstance(response, HTTPError):
            raise response
        return response

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


def _made(request: Any, once: Body, sent: Sent, out: Sent) -> Any:
    """``out`` as a request of the library: the author's own where only headers come to it."""
    from urllib.request import Request as UrlRequest

    if out.body is not sent.body or out.url != sent.url or out.method != sent.method:
        return UrlRequest(out.url, out.body, dict(out.headers), method=out.method)
    request.data = once.again()
    for name, value in out.headers:
        if (name, value) not in sent.headers:
            request.add_header(name, value)
    return request


def _store(response: Any, body: bytes) -> dict[str, Any]:
    from urllib.error import HTTPError

    return {
        "status": response.status,
        "reason": response.reason,
        "version": getattr(response, "version", None) or 11,
        "headers": [[n, str(v)] for n, v in response.headers.items()],
        "body": body,
        "url": response.url,
        "raised": isinstance(response, HTTPError),
    }


def _load(answer: dict[str, Any]) -> Any:
    from urllib.error import HTTPError

    if answer.get("raised") and answer["status"] >= 300:  # an answer that counts as done by now was raised, and is no error any more
        headers: Message = http.client.HTTPMessage()
        for name, value in answer["headers"]:
            headers[name] = value
        return HTTPError(answer["url"], answer["status"], answer["reason"], headers, io.BytesIO(answer["body"]))
    return _response(answer)


def _response(answer: dict[str, Any]) -> http.client.HTTPResponse:
    """A real response, read from the record instead of a socket."""
    skip = {"transfer-encoding", "content-length", "connection"}
    lines = [f"{n}: {v}" for n, v in answer["headers"] if n.lower() not in skip]
    body = answer["body"]
    head = "\r\n".join([f"HTTP/1.{(answer.get('version') or 11) % 10} {answer['status']} {answer['reason'] or ''}", *lines])
    raw = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
    response = http.client.HTTPResponse(_Recorded(raw))  # type: ignore[arg-type]
    response.begin()
    original = http.client.HTTPMessage()
    for name, value in answer["headers"]:
        original[name] = value
    response.headers = original
    response.url = answer.get("url") or ""
    response.msg = answer["reason"]  # as urllib.request hands it out
    return response


class _Recorded:
    """A socket whose peer has said all it will say."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


def _fate(error: BaseException) -> Fate:
    from urllib.error import URLError

    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        # urllib.request wraps what happens while connecting and sending; a broken pipe there may come after the whole request
        return fate_of_cause(error.reason)
    if isinstance(error, URLError):
        return "final"
    if isinstance(error, http.client.HTTPException):
        return "maybe"
    return fate_of_cause(error)

"""``http.client`` used directly: ``connection.request(...)`` and the response that ``getresponse()`` hands out are one call.

Requests put together piece by piece (``putrequest``, ``putheader``, ``send``) are not recorded; they are reported as undeclared.
"""

from __future__ import annotations

import functools
import http.client
from collections.abc import Callable
from typing import Any

from holdfast.durable.interceptor import Attempt, Recorder
from holdfast.durable.interceptors.conducting import Conduct
from holdfast.durable.interceptors.http import Body, Fate, assumed, failed, fate_of_cause, make_sent

_READY = "_holdfast_response"
#: Raised before anything was sent.
_MISUSE = (http.client.InvalidURL, http.client.ImproperConnectionState, http.client.NotConnected, http.client.UnknownProtocol)


def wrap(recorder: Recorder, response_of: Callable[[dict[str, Any]], http.client.HTTPResponse]) -> Callable[[], None]:
    """Wrap ``HTTPConnection``; returns what undoes it.

    Args:
        recorder: records the calls.
        response_of: a response read from its stored form.
    """
    connection: Any = http.client.HTTPConnection
    request, getresponse = connection.request, connection.getresponse

    @functools.wraps(request)
    def durable_request(self: Any, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        __tracebackhide__ = True
        headers = dict(headers or {})
        if not recorder.active:
            request(self, method, url, body, headers, **options)
            return
        once = Body(body)
        sent = make_sent("http.client", method, _address(self, url), headers.items(), once.form)
        if sent.passes:
            with recorder.passthrough():
                request(self, method, url, once.again(), headers, **options)
            return
        conduct = Conduct(sent, _fate)

        def do(attempt: Attempt) -> Any:
            try:
                request(self, method, url, once.again(), {**headers, **sent.key_header(attempt)}, **options)
                with getresponse(self) as response:
                    data = response.read()
            except Exception as error:
                self.close()
                raise conduct.guard(error)  # noqa: B904 - it has its cause
            return conduct.settle(attempt, _store(response, data))

        def load(answer: dict[str, Any]) -> Any:
            response = response_of(answer)
            response.msg = response.headers
            return response

        response = recorder.perform(sent.request(), do, load=load, transient=conduct.transient, failed=failed, assumed=assumed)
        setattr(self, _READY, response)

    @functools.wraps(getresponse)
    def durable_getresponse(self: Any) -> Any:
        ready = self.__dict__.pop(_READY, None)
        return getresponse(self) if ready is None else ready

    connection.request, connection.getresponse = durable_request, durable_getresponse

    def undo() -> None:
        connection.request, connection.getresponse = request, getresponse

    return undo


def _address(connection: Any, url: str) -> str:
    if "://" in url:
        return url
    scheme = "https" if isinstance(connection, http.client.HTTPSConnection) else "http"
    host = getattr(connection, "_tunnel_host", None) or connection.host
    port = (getattr(connection, "_tunnel_port", None) if host != connection.host else None) or connection.port
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}{'' if port == connection.default_port else f':{port}'}{url}"


def _store(response: http.client.HTTPResponse, body: bytes) -> dict[str, Any]:
    return {
        "status": response.status,
        "reason": response.reason,
        "version": response.version or 11,
        "headers": [[n, str(v)] for n, v in response.headers.items()],
        "body": body,
        "url": "",
    }


def _fate(error: BaseException) -> Fate:
    if isinstance(error, _MISUSE):
        return "final"
    return "maybe" if isinstance(error, http.client.HTTPException) else fate_of_cause(error)

"""elastic_transport: a request to a cluster is one call, whichever of its nodes answers.

Recorded below, as HTTP, it would be another call on each node, and the client could not go over to the next node before the call had failed
for good. So what is recorded is the transport's request; which node answers is settled inside it. The transport's own retries, which
repeat what may have happened, are off: the recorded call knows what may be repeated.
"""

from __future__ import annotations

import functools
import json
import socket
import ssl
from collections.abc import Callable
from typing import Any

from holdfast.durable.dialect import Answer, Spoken
from holdfast.durable.interceptor import Attempt, Recorder
from holdfast.durable.interceptors.http import Fate, Sent, fate_of_cause, further, make_sent
from holdfast.integrations.elasticsearch.dialect import ElasticsearchDialect
from holdfast.model.call import Effect

#: Exceptions of the libraries below that mean that no connection came about.
_UNSENT = frozenset({"NewConnectionError", "ConnectTimeoutError", "ConnectTimeout", "ConnectError", "ClientConnectorError"})
_PASSED = ("request_timeout", "client_meta", "otel_span")  # of the transport's arguments, those that stay the author's


class ElasticsearchInterceptor:
    """Wraps ``Transport.perform_request`` and ``AsyncTransport.perform_request``, whatever library their nodes use."""

    name = "elasticsearch"
    modules: tuple[str, ...] = ("elastic_transport",)

    def __init__(self) -> None:
        self._originals: list[tuple[Any, Any]] = []

    def install(self, recorder: Recorder) -> None:
        """Wrap them."""
        import elastic_transport

        plain, coroutine = elastic_transport.Transport.perform_request, elastic_transport.AsyncTransport.perform_request
        self._originals = [(elastic_transport.Transport, plain), (elastic_transport.AsyncTransport, coroutine)]

        @functools.wraps(plain)
        def perform_request(transport: Any, method: str, target: str, **given: Any) -> Any:
            __tracebackhide__ = True
            if not recorder.active:
                return plain(transport, method, target, **given)
            return _Exchange(recorder, transport, plain, given).perform(method, target)

        @functools.wraps(coroutine)
        async def perform_request_async(transport: Any, method: str, target: str, **given: Any) -> Any:
            __tracebackhide__ = True
            if not recorder.active:
                return await coroutine(transport, method, target, **given)
            return await _Exchange(recorder, transport, plain, given).perform_async(method, target, coroutine)

        self._originals[0][0].perform_request = perform_request
        self._originals[1][0].perform_request = perform_request_async

    def uninstall(self) -> None:
        """Undo."""
        for owner, original in self._originals:
            owner.perform_request = original
        self._originals.clear()


class _Exchange:
    """Requests through one transport: the author's, and what is asked before and after it.

    Args:
        plain: the synchronous transport's own method. For an asynchronous transport further questions go through a synchronous twin: they
            are asked at the beginning or after a crash, by code that cannot wait for a coroutine.
        given: the arguments of the author's request.
    """

    def __init__(self, recorder: Recorder, transport: Any, plain: Callable[..., Any], given: dict[str, Any]) -> None:
        self._recorder, self._transport, self._plain, self._given = recorder, transport, plain, given
        self._kept = {name: given[name] for name in _PASSED if name in given}

    def perform(self, method: str, target: str) -> Any:
        """One request of the author's (or a reading before it), recorded."""
        __tracebackhide__ = True
        sent, conduct = self._understood(method, target)
        if not conduct.recorded:
            with self._recorder.passthrough():
                return self._plain(self._transport, method, target, **self._given)

        def do(attempt: Attempt) -> Answer:
            return conduct.settle(attempt, self._tried(conduct, conduct.prepared(attempt), self._transport), self._ask(sent))

        return self._recorder.perform(conduct.request(), do, **self._manners(conduct, sent))

    async def perform_async(self, method: str, target: str, coroutine: Callable[..., Any]) -> Any:
        """The same through an asynchronous transport."""
        __tracebackhide__ = True
        sent, conduct = self._understood(method, target)
        if not conduct.recorded:
            with self._recorder.passthrough():
                return await coroutine(self._transport, method, target, **self._given)

        async def do(attempt: Attempt) -> Answer:
            out, nodes = conduct.prepared(attempt), len(self._transport.node_pool)
            while True:
                try:
                    answer = _answer(await coroutine(self._transport, out.method, _target(out), **self._sending(out)))
                    break
                except Exception as error:
                    nodes -= 1
                    if not _may_go_on(conduct, error, nodes):
                        raise conduct.guard(error)  # noqa: B904 - it has its cause
            return conduct.settle(attempt, answer, self._ask(sent))

        return await self._recorder.perform_async(conduct.request(), do, **self._manners(conduct, sent))

    def _understood(self, method: str, target: str) -> tuple[Sent, Spoken]:
        """The request, and how it goes; what is to be read before has been read."""
        body, headers = self._given.get("body"), _headers(self._given)
        if body is not None:
            body = self._transport.serializers.dumps(body, mimetype=headers.get("content-type", "application/json"))
        sent = make_sent("elasticsearch", method, f"elasticsearch://{cluster_of(self._transport)}{target}", headers.items(), body)
        dialect = ElasticsearchDialect()
        asked = dialect.understand(sent)
        if asked is None:  # it understands every request
            raise AssertionError(method, target)
        conduct = Spoken(sent, _fate, dialect, asked)
        conduct.look(functools.partial(self._read_before, sent))
        return sent, conduct

    def _read_before(self, sent: Sent, path: str) -> Answer:
        """A recorded reading."""
        out = further(sent, "GET", path, None)
        twin = _Exchange(self._recorder, self._twin(), self._plain, {**self._kept, "headers": dict(out.headers)})
        return _answer(twin.perform("GET", path))

    def _manners(self, conduct: Spoken, sent: Sent) -> dict[str, Any]:
        return {
            "load": functools.partial(_load, self._transport, sent.method),
            "probe": conduct.probe(self._ask(sent)),
            "transient": conduct.transient,
            "failed": conduct.failed,
            "assumed": conduct.assumed,
            "preview": conduct.preview(lambda out: self._tried(conduct, out, self._twin())),
        }

    def _ask(self, sent: Sent) -> Callable[..., Answer]:
        def ask(method: str, path: str, document: Any = None) -> Answer:
            return self._tried(None, further(sent, method, path, document), self._twin())

        return ask

    def _tried(self, conduct: Spoken | None, out: Sent, transport: Any) -> Answer:
        """Sent to one node after the other, as long as that does no harm; without a conduct it does none."""
        nodes = len(transport.node_pool)
        while True:
            try:
                return _answer(self._plain(transport, out.method, _target(out), **self._sending(out)))
            except Exception as error:
                nodes -= 1
                if not _may_go_on(conduct, error, nodes):
                    raise conduct.guard(error) if conduct is not None else error  # noqa: B904 - it has its cause

    def _sending(self, out: Sent) -> dict[str, Any]:
        return {**self._kept, "headers": dict(out.headers), "body": out.body, "max_retries": 0, "retry_on_status": ()}

    def _twin(self) -> Any:
        """The transport itself, or a synchronous one to the same nodes."""
        from elastic_transport import AsyncTransport, Transport

        if not isinstance(self._transport, AsyncTransport):
            return self._transport
        return Transport([node.config for node in self._transport.node_pool.all()], serializers=self._transport.serializers.serializers)


def cluster_of(transport: Any) -> str:
    """What a cluster is called: the first of the addresses that the author gave, in the order of the alphabet."""
    return min(f"{node.host}:{node.port}" for node in transport.node_pool._seed_nodes)


def _may_go_on(conduct: Spoken | None, error: Exception, nodes: int) -> bool:
    """Whether the next node may be tried after this error."""
    fate = _fate(error)
    if fate == "maybe" and conduct is not None:
        conduct.guard(error)  # which notes that it may have arrived
    return nodes > 0 and (fate == "unsent" or (fate == "maybe" and (conduct is None or conduct.effect != Effect.WRITE)))


def _fate(error: BaseException) -> Fate:
    from elastic_transport import TlsError, TransportError

    if not isinstance(error, TransportError) or isinstance(error, TlsError):
        return "final"
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(one, socket.gaierror | ssl.SSLCertVerificationError) for one in chain):
        return fate_of_cause(error)
    return "unsent" if any(type(one).__name__ in _UNSENT for one in chain) else "maybe"


def _headers(given: dict[str, Any]) -> dict[str, str]:
    headers: Any = given.get("headers")
    return {str(name).lower(): str(value) for name, value in headers.items()} if hasattr(headers, "items") else {}


def _target(out: Sent) -> str:
    return "/" + out.url.partition("://")[2].partition("/")[2]


def _answer(response: Any) -> Answer:
    """A transport's response as it is recorded."""
    body = response.body
    if not isinstance(body, bytes):
        kind = response.meta.mimetype or ""
        body = b"" if body is None else body.encode() if isinstance(body, str) and "json" not in kind else _lines(body, kind)
    headers = [[name, value] for name, value in response.meta.headers.items()]
    return {"status": response.meta.status, "reason": "", "version": 11, "headers": headers, "body": body}


def _lines(body: Any, kind: str) -> bytes:
    if "ndjson" in kind and isinstance(body, list):
        return b"".join(json.dumps(line).encode() + b"\n" for line in body)
    return json.dumps(body).encode()


def _load(transport: Any, method: str, answer: Answer) -> Any:
    """The transport's response of what is recorded."""
    from elastic_transport import ApiResponseMeta, HttpHeaders, TransportApiResponse

    headers = HttpHeaders(dict(answer["headers"]))
    if "x-holdfast" in headers:  # made up; the client takes answers of Elasticsearch only
        headers["X-Elastic-Product"] = "Elasticsearch"
    node = transport.node_pool.all()[0].config
    meta = ApiResponseMeta(status=answer["status"], http_version="1.1", headers=headers, duration=0.0, node=node)
    body = None if method == "HEAD" or not answer["body"] else transport.serializers.loads(answer["body"], meta.mimetype)
    return TransportApiResponse(meta, body)

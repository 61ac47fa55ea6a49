"""What the HTTP interceptors share: a request's identity and effect, what passes by itself, what is unknown, what is shown."""

from __future__ import annotations

import io
import json
import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from holdfast.durable.canonical import digest
from holdfast.durable.interceptor import Attempt, Request
from holdfast.errors import AuthorError
from holdfast.foundation import clock
from holdfast.model.call import Effect

#: How many bytes of a request body that can be read only once are kept in memory.
BODY_LIMIT = 64 << 20

_READ = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_IDEMPOTENT = frozenset({"PUT", "DELETE"})

# Questions too long for an address: Elasticsearch's and Prometheus's own names.
_ASKING = re.compile(r"/(_search|_msearch|_count|_mget|_field_caps|api/v1/query|api/v1/query_range|api/v1/series)/?$")

# Headers that differ from try to try, or from person to person, and say nothing of what is asked for.
_VOLATILE = re.compile(
    r"date|authorization|proxy-authorization|cookie|user-agent|content-length|transfer-encoding|connection|keep-alive|accept-encoding|host|"
    r"idempotency-key|expect|te|via|forwarded|x-forwarded-.*|traceparent|tracestate|baggage|b3|x-b3-.*|x-cloud-trace-context|sentry-trace|"
    r"x-opaque-id|x-elastic-client-meta|uber-trace-id|x-datadog-.*|newrelic|x-amzn-trace-id|x-amz-(date|security-token|content-sha256)|amz-sdk-.*|"
    r".*(request|correlation|trace|session|client-request|transaction)-?id|.*(api|app|application|access|auth|private)[-_]?(key|token).*|x-.*-?token|"
    r"x-.*-?signature.*|x-.*-?timestamp|x-.*-client-user-agent|dpop|signature|signature-input"
)
# Where a machine asks for its own credentials.
_METADATA = frozenset({"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "metadata.google.internal"})

# What signing an address anew changes.
_SIGNATURE = re.compile(
    r"(?i)x-(amz|goog|ms)-(signature|credential|date|security-token|expires|algorithm|signedheaders)|signature|awsaccesskeyid|googleaccessid"
)

#: What an exception tells of the request: not sent, perhaps sent, or neither (it will not pass by itself).
Fate = Literal["unsent", "maybe", "final"]


class Body:
    """A request body: what it is for the record, and how to send it (again).

    Args:
        body: as the library was given it.
    Raises:
        AuthorError: HF160, a body that can be read only once is larger than ``BODY_LIMIT``.
    """

    def __init__(self, body: Any) -> None:
        self._body = body
        self._start: int | None = None
        self._parts: list[bytes] | None = None
        self.form: Any = None
        if body is None:
            return
        if isinstance(body, str):
            self.form = body.encode("utf-8", "surrogatepass")
        elif isinstance(body, bytes | bytearray | memoryview):
            self.form = bytes(body)
        elif hasattr(body, "read") and _seekable(body):
            self._start = body.tell()
            data = body.read()
            self.form = data.encode() if isinstance(data, str) else data
            body.seek(self._start)
        else:
            self._parts = list(_limited(_chunks(body)))
            self.form = b"".join(self._parts)

    def again(self) -> Any:
        """The body to send at the next attempt."""
        if self._start is not None:
            self._body.seek(self._start)
        if self._parts is not None:
            return io.BytesIO(self.form) if hasattr(self._body, "read") else iter(self._parts)
        return self._body


def _seekable(body: Any) -> bool:
    try:
        body.seek(body.tell())
    except (AttributeError, OSError, ValueError):
        return False
    return True


def _chunks(body: Any) -> Iterator[bytes]:
    pieces: Iterable[Any] = iter(lambda: body.read(1 << 16), b"") if hasattr(body, "read") else body
    for piece in pieces:
        if not piece and hasattr(body, "read"):
            return
        yield piece.encode() if isinstance(piece, str) else bytes(piece)


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > BODY_LIMIT:
            raise too_large()
        yield chunk


def too_large() -> AuthorError:
    """A body that can be read only once and is too long to keep."""
    return AuthorError(
        "HF160",
        f"the request's body can be read only once and is longer than {BODY_LIMIT >> 20} MiB",
        cure="send it from a file opened in binary mode (it can be read again), or make the upload a function marked with @call",
    )


class Sent(msgspec.Struct, frozen=True):
    """A request about to be made."""

    method: str
    url: str  # absolute
    headers: list[tuple[str, str]]
    body: Any  # bytes, or what canonical() takes
    library: str = "http"

    @property
    def effect(self) -> Effect:
        """By method; a key of the author's own makes any request idempotent, and a POST that only asks is a read."""
        if self.method in _READ or (self.method == "POST" and self._asks):
            return Effect.READ
        if self.method in _IDEMPOTENT or self.has_key:
            return Effect.IDEMPOTENT
        return Effect.WRITE

    @property
    def _asks(self) -> bool:
        """A search, or a GraphQL document without a mutation."""
        path = urlsplit(self.url).path
        if _ASKING.search(path):
            return True
        if "graphql" not in path.lower() or not isinstance(self.body, bytes) or len(self.body) > 1 << 20:
            return False
        try:
            document = json.loads(self.body)
        except ValueError:
            return False
        text = document.get("query") if isinstance(document, dict) else None
        return isinstance(text, str) and text.lstrip().startswith(("query", "{")) and not re.search(r"\b(mutation|subscription)\b", text)

    @property
    def has_key(self) -> bool:
        """Whether the author sends an idempotency key."""
        return any(name.lower() in {"idempotency-key", "x-idempotency-key"} for name, _ in self.headers)

    @property
    def passes(self) -> bool:
        """Not to be recorded: what never ends (a watch, followed logs, server-sent events), stops being HTTP (an upgrade), or hands out
        credentials, which in a record would be a leak and on a replay be expired."""
        headers = {name.lower(): value.lower() for name, value in self.headers}
        if "upgrade" in headers or "upgrade" in headers.get("connection", ""):
            return True
        if urlsplit(self.url).hostname in _METADATA or self._asks_for_token:
            return True
        if self.method != "GET":
            return False
        query = dict(parse_qsl(urlsplit(self.url).query))
        endless = any(query.get(name, "").lower() in {"1", "true"} for name in ("watch", "follow", "stream"))
        return endless or "text/event-stream" in headers.get("accept", "")

    @property
    def _asks_for_token(self) -> bool:
        """An OAuth 2 token request; it may be repeated at will, but for the code that can be used once."""
        body = self.body
        if self.method != "POST" or not isinstance(body, bytes) or len(body) > 1 << 16:
            return False
        return b"grant_type=" in body and b"grant_type=authorization_code" not in body

    def request(self) -> Request:
        """As the recorder takes it."""
        headers = sorted((n.lower(), v) for n, v in self.headers if not _VOLATILE.fullmatch(n.lower()))
        headers, body = _without_boundary(headers, self.body)
        shown = without_user(self.url)
        return Request(
            kind="http",
            operation=f"{self.method} {shown}",
            fingerprint=digest([self.method, _without_signature(self.url), headers, body]),
            effect=self.effect,
            arguments=_arguments(self.headers, self.body),
        )

    def key_header(self, attempt: Attempt) -> dict[str, str]:
        """The header that lets the server recognise a repetition, when the request has none of its own and needs one."""
        return {"Idempotency-Key": attempt.idempotency_key} if attempt.sends_key and self.effect == Effect.WRITE else {}


def make_sent(library: str, method: str, url: str, headers: Iterable[tuple[Any, Any]], body: Any) -> Sent:
    """A request from what a library has at hand; names and values as bytes or text."""
    pairs = [(_text(n), _text(v)) for n, v in headers]
    return Sent(_text(method).upper(), url, pairs, body, library)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def further(sent: Sent, method: str, path: str, document: Any) -> Sent:
    """Another request to the same server with the same credentials: ``path`` with its query; a JSON document, a form's bytes, or None."""
    parts = urlsplit(sent.url)
    body = document if document is None or isinstance(document, bytes) else json.dumps(document).encode()
    kind = "application/x-www-form-urlencoded" if isinstance(document, bytes) else "application/json"
    kept = [(n, v) for n, v in sent.headers if n.lower() not in ("content-length", "content-type", "transfer-encoding", "content-encoding")]
    kept += [("Content-Type", kind)] if body is not None else []
    return Sent(method, f"{parts.scheme}://{parts.netloc}{path}", kept, body, sent.library)


# ---- identity ----


def _without_signature(url: str) -> str:
    """The address without user, fragment, and what a pre-signed one changes with each signing. The order of the query is kept."""
    parts = urlsplit(url)
    query = parts.query
    if "signature=" in query.lower():
        pairs = parse_qsl(query, keep_blank_values=True)
        query = urlencode([(n, v) for n, v in pairs if not _SIGNATURE.fullmatch(n) and n != "Expires"])
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _without_boundary(headers: list[tuple[str, str]], body: Any) -> tuple[list[tuple[str, str]], Any]:
    """A multipart body with its random boundary replaced."""
    for i, (name, value) in enumerate(headers):
        found = re.search(r'boundary="?([^";,]+)"?', value) if name == "content-type" and value.lower().startswith("multipart/") else None
        if found is not None:
            boundary = found.group(1)
            headers[i] = (name, value.replace(boundary, "boundary"))
            if isinstance(body, bytes):
                body = body.replace(boundary.encode("latin-1"), b"boundary")
    return headers, body


# ---- for people (the recorder takes out what is secret) ----


def without_user(url: str) -> str:
    """The address without user, password and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def _arguments(headers: Iterable[tuple[str, str]], body: Any) -> dict[str, Any]:
    kind = next((v for n, v in headers if n.lower() == "content-type"), "").partition(";")[0]
    shown: dict[str, Any] = {"content_type": kind} if kind else {}
    if isinstance(body, bytes) and body:
        shown["body"] = _readable(kind, body)
    return shown


def _readable(kind: str, body: bytes) -> Any:
    if len(body) <= 1 << 16:
        try:
            if "json" in kind or body[:1] in b"{[":
                return json.loads(body)
            if "x-www-form-urlencoded" in kind:
                return dict(parse_qsl(body.decode()))
            if kind.startswith("text/"):
                return body.decode()[:2000]
        except ValueError:
            pass
    return f"{len(body)} bytes"


# ---- outcome ----


def retry_after(headers: Iterable[Iterable[str]]) -> float | None:
    """The seconds that a Retry-After header asks for."""
    for name, value in headers:
        if name.lower() == "retry-after":
            try:
                return max(0.0, float(value))
            except ValueError:
                try:
                    return max(0.0, parsedate_to_datetime(value).timestamp() - clock.now())
                except (ValueError, TypeError):
                    return None
    return None


def assumed(value: Any) -> dict[str, Any]:
    """The answer that a person's word stands for: 200 with the given body, as JSON unless it is text; nothing given: an empty one. What
    has a numeric ``status`` and a ``body``, and at most ``headers`` besides, is the whole answer."""
    if isinstance(value, Mapping) and value.keys() >= {"status", "headers", "body"} and isinstance(value["body"], bytes):
        return dict(value)
    if isinstance(value, Mapping) and {"status", "body"} <= value.keys() <= {"status", "body", "headers"} and type(value["status"]) is int:
        given = {str(k): str(v) for k, v in dict(value.get("headers") or {}).items()}
        answer = assumed(value["body"])
        kept = [[k, v] for k, v in answer["headers"] if k.lower() not in {g.lower() for g in given}]
        return {**answer, "status": value["status"], "reason": "", "headers": [*kept, *map(list, given.items())]}
    kind, body = "application/json", json.dumps(value).encode()
    if value is None:
        kind, body = "text/plain", b""
    elif isinstance(value, str):
        kind, body = "text/plain; charset=utf-8", value.encode()
    headers = [["Content-Type", kind], ["Content-Length", str(len(body))], ["x-holdfast", "assumed"]]
    return {"status": 200, "reason": "OK", "version": 11, "headers": headers, "body": body}


def failed(answer: Any) -> bool:
    """Whether the server refused or failed."""
    return bool(answer["status"] >= 400)


def fate_of_cause(error: BaseException | None) -> Fate:
    """What the innermost system error tells, for libraries that wrap it."""
    seen: set[int] = set()
    fate: Fate = "final"
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ConnectionRefusedError):
            return "unsent"
        if isinstance(error, socket.gaierror):
            return "unsent" if error.errno == socket.EAI_AGAIN else "final"
        if isinstance(error, ssl.SSLCertVerificationError):
            return "final"
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | PermissionError):
            fate = "maybe"
        error = error.__cause__ or error.__context__
    return fate

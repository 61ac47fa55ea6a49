"""A dialect: how one vendor's HTTP requests are to be understood, repeated, and asked about afterwards.

The HTTP interceptors record; a dialect tells them what a request means. Whoever wraps a vendor's client sets the dialect for what
the client sends (:func:`speaking`), so that identity, retries, replay and the client's own types stay as for any HTTP request.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import msgspec

from holdfast.durable.interceptor import Attempt, Outcome, Recorder, Request, Transient
from holdfast.durable.interceptors import http
from holdfast.durable.interceptors.conducting import Conduct
from holdfast.durable.interceptors.http import Fate, Sent
from holdfast.model.call import Effect

#: status, reason, version, headers (pairs), body (bytes): an HTTP answer as it is recorded.
Answer = dict[str, Any]
#: Sends a further request (method, path with query, and a JSON body, the bytes of a form, or None) with the same client and
#: credentials; it is not recorded.
Ask = Callable[[str, str, Any], Answer]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as its vendor understands it."""

    operation: str  # for people: "delete pods prod/web-0"
    effect: Effect
    target: str = ""  # what it touches, for locks, caps and evidence: "kubernetes://SERVER/prod/pods/web-0"
    destructive: bool | None = None  # whether what it changes is lost; None: worked out from the operation
    arguments: Mapping[str, Any] = {}  # for people, JSON types, without credentials
    recorded: bool = True  # False: it hands out credentials, or has to be made anew every time
    look: str = ""  # the path to be read first, and recorded as a reading: how the target was before


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request on its way: as the client made it, as it is understood, and how its target was before."""

    sent: Sent
    asked: Asked
    before: Answer | None = None


class Dialect:
    """What a vendor's integration overrides. Every method has the way of plain HTTP as its default."""

    name: str = "http"

    def understand(self, sent: Sent) -> Asked | None:
        """What is asked; None: as any HTTP request."""
        return None

    def prepare(self, q: Question, attempt: Attempt) -> Sent:
        """What goes out at this attempt: with the vendor's idempotency token, or a precondition taken from ``q.before``."""
        return q.sent

    def settle(self, q: Question, attempt: Attempt, answer: Answer, ask: Ask) -> Answer:
        """The answer to a request that may have had its effect before (only then is this called): "already there" is success."""
        return answer

    def probe(self, q: Question, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
        """Whether a change of unknown outcome happened: its answer; False, it did not; None, that cannot be told (an idempotent one is
        then made again, for a write a person is asked)."""
        return None

    def preview(self, q: Question) -> Sent | None:
        """The vendor's own dry run of a change; None where there is none."""
        return None

    def transient(self, q: Question, answer: Answer) -> Transient | None:
        """Refusals that pass by themselves beyond 429, 502, 503 and 504 (a refusal with status 200)."""
        return None

    def refused(self, answer: Answer) -> bool:
        """Whether the answer is a refusal."""
        return http.failed(answer)

    def assumed(self, q: Question, value: Any) -> Answer:
        """The answer that a person's word, or a dry run, stands for."""
        return http.assumed(value)

    def keep(self, q: Question, answer: Answer) -> Answer:
        """What of an answer is recorded and handed over: without credentials."""
        return answer


_speaking: ContextVar[Dialect | None] = ContextVar("holdfast_dialect", default=None)


@contextmanager
def speaking(dialect: Dialect | None) -> Iterator[None]:
    """HTTP requests sent in this context are in this dialect."""
    token = _speaking.set(dialect)
    try:
        yield
    finally:
        _speaking.reset(token)


def conduct_of(sent: Sent, fate: Callable[[BaseException], Fate]) -> Conduct:
    """How the request goes: in the dialect spoken here, if it understands it."""
    dialect = _speaking.get()
    asked = dialect.understand(sent) if dialect is not None else None
    return Conduct(sent, fate) if dialect is None or asked is None else Spoken(sent, fate, dialect, asked)


class Spoken(Conduct):
    """The conduct of a request in a dialect."""

    def __init__(self, sent: Sent, fate: Callable[[BaseException], Fate], dialect: Dialect, asked: Asked) -> None:
        super().__init__(sent, fate)
        self._dialect, self._q = dialect, Question(sent=sent, asked=asked)
        self.recorded, self.effect = asked.recorded, asked.effect

    def look(self, read: Callable[[str], Answer]) -> None:
        if self._q.asked.look:
            answer = read(self._q.asked.look)
            self._q = msgspec.structs.replace(self._q, before=answer if answer["status"] < 300 else None)

    def request(self) -> Request:
        plain, asked = super().request(), self._q.asked
        arguments = asked.arguments or plain.arguments
        return msgspec.structs.replace(
            plain,
            kind=self._dialect.name,
            operation=asked.operation,
            effect=asked.effect,
            target=asked.target,
            destructive=asked.destructive,
            arguments=arguments,
        )

    def prepared(self, attempt: Attempt) -> Sent:
        return self._dialect.prepare(self._q, attempt)

    def settle(self, attempt: Attempt, answer: Answer, ask: Ask | None = None) -> Answer:
        if (attempt.resumed or self._reached) and ask is not None and self.effect != Effect.READ:
            answer = self._dialect.settle(self._q, attempt, answer, ask)
        return self._dialect.keep(self._q, answer)

    def transient(self, answer: Mapping[str, Any] | None, error: BaseException | None) -> Transient | None:
        if answer is not None and (passing := self._dialect.transient(self._q, dict(answer))) is not None:
            return passing
        return super().transient(answer, error)

    def failed(self, answer: Any) -> bool:
        return self._dialect.refused(answer)

    def assumed(self, value: Any) -> Answer:
        return self._dialect.assumed(self._q, value)

    def probe(self, ask: Ask) -> Callable[[Attempt], Outcome | None] | None:
        def probe(attempt: Attempt) -> Outcome | None:
            found = self._dialect.probe(self._q, attempt, ask)
            if found is None:
                return None
            return Outcome(happened=False) if found is False else Outcome(happened=True, value=self._dialect.keep(self._q, found))

        return probe

    def preview(self, send: Callable[[Sent], Answer]) -> Callable[[], tuple[Answer | None, str]] | None:
        sent = self._dialect.preview(self._q)
        if sent is None:
            return None

        def preview() -> tuple[Answer | None, str]:
            answer = send(sent)
            if self._dialect.refused(answer):
                return None, f"would be refused: {answer['status']} {message_of(answer)}".rstrip()
            return self._dialect.keep(self._q, answer), "would be accepted"

        return preview


class SpeakingInterceptor:
    """Base of an integration's interceptor: what the wrapped methods of its client send is in its dialect.

    A subclass names ``name``, ``modules``, ``dialect`` and ``chokes``: pairs of class (``module:Class``) and method. Methods in ``private``
    fetch credentials: what they do is not recorded.
    """

    name: str = ""
    modules: tuple[str, ...] = ()
    chokes: tuple[tuple[str, str], ...] = ()
    private: tuple[tuple[str, str], ...] = ()

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def dialect(self) -> Dialect:
        """The dialect to be spoken."""
        raise NotImplementedError

    def install(self, recorder: Recorder) -> None:
        """Wrap the methods."""
        import sys

        dialect = self.dialect()
        for place, method in (*self.chokes, *self.private):
            module, _, name = place.partition(":")
            owner = getattr(sys.modules.get(module), name, None)
            if owner is not None and not any(o is owner and m == method for o, m, _ in self._originals):
                original = getattr(owner, method)
                self._originals.append((owner, method, original))
                within = recorder.passthrough if (place, method) in self.private else functools.partial(speaking, dialect)
                setattr(owner, method, _wrapped(original, within))

    def uninstall(self) -> None:
        """Undo."""
        for owner, method, original in self._originals:
            setattr(owner, method, original)
        self._originals.clear()


def _wrapped(original: Any, within: Callable[[], Any]) -> Any:
    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with within():
            return original(*args, **kwargs)

    return wrapped


# ---- for dialects ----


def altered(sent: Sent, **changes: Any) -> Sent:
    """``sent`` with ``url``, ``headers`` (further ones, as a dict) or ``body`` (bytes, or JSON types) changed."""
    headers = list(sent.headers)
    body = changes.get("body", sent.body)
    if "body" in changes:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [(n, str(len(body)) if n.lower() == "content-length" else v) for n, v in headers]
    further = {n.lower(): (n, v) for n, v in changes.get("headers", {}).items()}
    headers = [(n, v) for n, v in headers if n.lower() not in further] + list(further.values())
    return msgspec.structs.replace(sent, url=changes.get("url", sent.url), headers=headers, body=body)


def document(body: Any) -> Any:
    """A body as JSON types; None when it is none."""
    try:
        return json.loads(body) if body else None
    except (ValueError, TypeError):
        return None


def shown(body: Any) -> dict[str, Any]:
    """A JSON body for people, as ``Asked.arguments``; how long it is where that is too much."""
    if isinstance(body, bytes) and len(body) > 1 << 16:
        return {"body": f"{len(body)} bytes"}
    found = document(body)
    return found if isinstance(found, dict) else {} if found is None else {"body": found}


def answer_of(value: Any, *, status: int = 200, note: str = "") -> Answer:
    """An answer with a JSON body, as the dialect made it up; ``note`` says so in its headers."""
    body = json.dumps(value).encode()
    headers = [["Content-Type", "application/json"], ["Content-Length", str(len(body))]]
    if note:
        headers.append(["x-holdfast", note])
    return {"status": status, "reason": "OK", "version": 11, "headers": headers, "body": body}


def message_of(answer: Answer) -> str:
    """What a refusal says, in short."""
    said = document(answer["body"])
    if isinstance(said, dict):
        said = said.get("message") or said.get("error") or said.get("errors") or said
    return (said if isinstance(said, str) else json.dumps(said) if said is not None else "")[:300]

"""How one HTTP request goes: what passes by itself, what is unknown, what a repetition's answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from holdfast.durable.interceptor import Attempt, Outcome, Request, Transient
from holdfast.durable.interceptors.http import Fate, Sent, assumed, failed, retry_after, without_user
from holdfast.errors import OutcomeUnknownError
from holdfast.model.call import Effect

_TRANSIENT = frozenset({429, 502, 503, 504})
_GONE = frozenset({404, 410})


class Conduct:
    """How one request goes: what is transient, what is unknown, what a repetition's answer means.

    Args:
        sent: the request.
        fate: what an exception of the library tells.
    """

    def __init__(self, sent: Sent, fate: Callable[[BaseException], Fate]) -> None:
        self.sent, self._fate = sent, fate
        self._reached = False  # an earlier attempt may have had its effect
        self.recorded = True
        self.effect = sent.effect

    def look(self, read: Callable[[str], dict[str, Any]]) -> None:
        """What a dialect wants to have read before; nothing here."""

    def request(self) -> Request:
        """As the recorder takes it."""
        return self.sent.request()

    def prepared(self, attempt: Attempt) -> Sent:
        """What goes out at this attempt."""
        return msgspec.structs.replace(self.sent, headers=[*self.sent.headers, *self.sent.key_header(attempt).items()])

    def failed(self, answer: Any) -> bool:
        """Whether the server refused or failed."""
        return failed(answer)

    def assumed(self, value: Any) -> dict[str, Any]:
        """See :func:`assumed`."""
        return assumed(value)

    def probe(self, ask: Callable[[str, str, Any], dict[str, Any]]) -> Callable[[Attempt], Outcome | None] | None:
        """How to find out whether a write happened; nothing tells here."""
        return None

    def preview(self, send: Callable[[Sent], dict[str, Any]]) -> Callable[[], tuple[dict[str, Any] | None, str]] | None:
        """The server's own dry run; there is none here."""
        return None

    def guard(self, error: Exception) -> Exception:
        """What ``do`` is to raise for ``error``."""
        if self._fate(error) != "maybe":
            return error
        self._reached = True
        if self.effect != Effect.WRITE:
            return error
        asked = f"{self.sent.method} {without_user(self.sent.url).partition('?')[0]}"
        unknown = OutcomeUnknownError(
            "HF311",
            f"the connection broke after {asked} was sent ({type(error).__name__})",
            cure="find out on the server whether it happened, then answer the prompt",
        )
        unknown.__cause__ = error
        return unknown

    def transient(self, answer: Mapping[str, Any] | None, error: BaseException | None) -> Transient | None:
        """See ``Recorder.perform``."""
        if error is not None:
            return None if self._fate(error) == "final" else Transient(reason=f"{type(error).__name__}: {error}"[:300])
        if answer is not None and answer["status"] in _TRANSIENT:
            self._reached = self._reached or answer["status"] in {502, 504}
            return Transient(reason=f"{answer['status']} {answer.get('reason') or ''}".strip(), retry_after=retry_after(answer["headers"]))
        return None

    def settle(self, attempt: Attempt, answer: dict[str, Any], ask: Any = None) -> dict[str, Any]:
        """On a repetition of an idempotent request, "already gone" and "already there" mean that it is done."""
        if not (attempt.resumed or self._reached) or self.sent.effect != Effect.IDEMPOTENT:
            return answer
        if self.sent.method == "DELETE" and answer["status"] in _GONE:
            headers = [["x-holdfast", f"already-gone; status={answer['status']}"]]
            return {**answer, "status": 204, "reason": "No Content", "headers": headers, "body": b""}
        if self.sent.method in {"PUT", "POST"} and answer["status"] == 409:
            kept = [[n, v] for n, v in answer["headers"]]
            return {**answer, "status": 200, "reason": "OK", "headers": [*kept, ["x-holdfast", "already-there; status=409"]]}
        return answer

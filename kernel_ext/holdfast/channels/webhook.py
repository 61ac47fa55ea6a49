"""Any program that takes JSON: the question is posted to it, signed; it posts the answer back, with the token of the question and signed
in the same way. What Teams, Mattermost and home-made bots are connected through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from holdfast.channels import links, tables
from holdfast.channels.channel import Address, Audience, Callback, Channel, Given, Heard, Receipt, Refused, Reply, Sending, TryLater
from holdfast.channels.message import heading, rows
from holdfast.errors import HoldfastError, RequestError
from holdfast.events.signatures import check_versioned, versioned
from holdfast.foundation import clock
from holdfast.foundation.posting import NotTaken, post
from holdfast.model.prompt import Prompt, PromptState, Question
from holdfast.prompts.allowed import who_may
from holdfast.prompts.wording import end, how_to_answer

_KEYS: Final = ("url", "secret", "headers", "timeout", "window")
_ANSWER: Final = ("token", "verdict", "value", "why", "typed", "who")
SIGNATURE: Final = "X-Holdfast-Signature"
TIMESTAMP: Final = "X-Holdfast-Timestamp"
DELIVERY: Final = "X-Holdfast-Delivery"
_LONGEST: Final = 10_000


def make(given: Given) -> Channel:
    """From a table ``[webhook.NAME]``."""
    tables.known(given, _KEYS)
    url = tables.text(given, "url")
    if not url.startswith(("http://", "https://")):
        raise ValueError("url must begin with http:// or https://")
    secret = tables.secret(given, "secret")
    assert secret is not None
    headers = {}
    for name, value in tables.texts(given, "headers").items():
        before, space, last = value.rpartition(" ")
        headers[name] = f"{before}{space}{given.secret(last)}" if last.startswith(("env:", "file:")) else value
    return Webhook(
        given.name, url, secret.encode(), given.key, headers=headers, timeout=tables.number(given, "timeout", 10),
        window=tables.number(given, "window", 300),
    )  # fmt: skip


class Webhook:
    """See :func:`make`."""

    needs_url = True

    def __init__(
        self, name: str, url: str, secret: bytes, key: bytes, *, headers: Mapping[str, str], timeout: float, window: float
    ) -> None:
        self.name, self._url, self._secret, self._key = name, url, secret, key
        self._headers, self._timeout, self._window = dict(headers), timeout, window

    def addresses(self, audience: Audience) -> tuple[list[Address], list[str]]:
        """There is one place; whom to ask stands in the message."""
        return [Address(place="")], []

    def deliver(self, sending: Sending) -> Receipt:
        """Post it. The far side knows a repetition by the id."""
        body = json.dumps(_document(sending), ensure_ascii=False).encode()
        headers = {**self._headers, "Content-Type": "application/json", DELIVERY: sending.id, **self._proof(body)}
        try:
            post(self._url, body, headers, timeout=self._timeout)
        except NotTaken as error:
            if error.refused:
                raise Refused(error.why) from None
            raise TryLater(error.why, after=error.after, all_of_it=True) from None
        return Receipt(said={"id": sending.id})

    def remind(self, sending: Sending, question: Receipt) -> Receipt:
        """Says which message it is about."""
        return self.deliver(sending)

    escalate = deliver

    def _proof(self, body: bytes) -> dict[str, str]:
        at = str(int(clock.now()))
        return {TIMESTAMP: at, SIGNATURE: versioned(self._secret, at, body)}

    def update(self, sending: Sending, question: Receipt) -> Receipt:
        """As a reminder."""
        return self.deliver(sending)

    def verify(self, callback: Callback, now: float) -> Heard:
        """Signature and time, then the question's token, then who it says has answered."""
        at, signature = (callback.headers.get(name.lower(), "") for name in (TIMESTAMP, SIGNATURE))
        check_versioned(self._secret, at, signature, callback.body, now, self._window)
        said = _read(callback.body)
        ticket = links.read(self._key, said.get("token") or "", self.name, now)
        who = said.get("who") or ""
        by = ("email", who) if "@" in who else ("name", who)
        return Heard(
            prompt=ticket.prompt, known_as=by, verdict=said.get("verdict"), value=said.get("value"), why=said.get("why"),
            typed=said.get("typed"),
        )  # fmt: skip

    def show(self, heard: Heard, prompt: Prompt) -> Reply:
        """Never asked for: the message has the whole question."""
        raise RequestError("HF722", "this channel shows no forms", cure="Post the answer.")

    def tell(self, heard: Heard, prompt: Prompt | None, error: HoldfastError | None) -> Reply:
        """The prompt as it stands; what went wrong as a problem document."""
        if error is not None:
            raise error
        assert prompt is not None
        said = {"prompt": prompt.id, "state": str(prompt.state), "answer": prompt.answer, "answered_by": prompt.answered_by}
        return Reply(content=json.dumps(said).encode())

    def probe(self) -> str:
        """Nobody is disturbed for it: only that something listens there."""
        import socket
        from urllib.parse import urlsplit

        parts = urlsplit(self._url)
        place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        try:
            socket.create_connection(place, timeout=self._timeout).close()
        except OSError as error:
            raise TryLater(f"{place[0]}:{place[1]}: {error.strerror or error}") from None
        return f"{place[0]}:{place[1]} listens"


def _document(sending: Sending) -> dict[str, Any]:
    prompt, question = sending.prompt, sending.prompt.question or Question()
    return {
        "id": sending.id,
        "what": str(sending.what),
        "number": sending.number,
        "heading": heading(sending),
        "text": prompt.text,
        "facts": [{"name": name, "value": value} for name, value in rows(sending)],
        "prompt": {
            "id": prompt.id, "execution": prompt.execution, "runbook": sending.runbook, "step": prompt.step, "kind": str(prompt.kind),
            "state": str(prompt.state), "opened_at": clock.iso(prompt.opened_at),
            "due_at": None if prompt.due_at is None else clock.iso(prompt.due_at), "answer": prompt.answer,
            "answered_by": prompt.answered_by, "via": prompt.via, "why": prompt.why, "end": end(prompt),
        },
        "to": list(who_may(prompt)),
        "answer": _how(sending, question) if prompt.state == PromptState.OPEN else None,
        "page": sending.page,
    }  # fmt: skip


def _how(sending: Sending, question: Question) -> dict[str, Any]:
    prompt = sending.prompt
    return {
        "url": sending.callback, "token": sending.token, "verdicts": list(prompt.verdicts), "schema": question.schema,
        "why_needed": question.why, "typed_needed": question.typed, "command": how_to_answer(prompt),
    }  # fmt: skip


def _read(body: bytes) -> dict[str, Any]:
    """The answer in a callback. Raises ``RequestError`` HF722."""
    cure = f"Send a JSON object with {', '.join(_ANSWER)}."
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError("HF722", "the answer is not JSON", cure=cure) from None
    if not isinstance(said, dict) or any(key not in _ANSWER for key in said):
        raise RequestError("HF722", "the answer is not of the form that is asked for", cure=cure)
    for key in _ANSWER:
        if key != "value" and said.get(key) is not None and (not isinstance(said[key], str) or len(said[key]) > _LONGEST):
            raise RequestError("HF722", f"{key} is not a text, or too long", cure=cure)
    return said

"""Any JSON: the whole body becomes the event's data. Proved by a token, or by an HMAC in a header of your choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.events.cloudevents import json_of
from holdfast.events.paths import MISSING, look_up
from holdfast.events.signatures import any_signature, fresh, refused, token_given
from holdfast.events.source import Trust
from holdfast.events.sources.reading import digest
from holdfast.model.event import Event

_HEADER = "x-holdfast-signature"
_IDS = ("x-github-delivery", "x-request-id", "webhook-id", "x-event-id", "idempotency-key")


def verify_signed(headers: Mapping[str, str], body: bytes, trust: Trust, now: float) -> None:
    """A token that fits, or a signature of the body (of ``TIME.BODY`` where a header carries the time).

    Raises:
        RequestError: HF720, HF721.
    """
    if trust.tokens and token_given(headers, trust.tokens):
        return
    if not trust.secrets:
        raise refused("no token that fits (Authorization: Bearer, or the password of Basic)")
    header = (trust.header or _HEADER).lower()
    given = headers.get(header)
    if not given:
        raise refused(f"there is no {header}")
    prefix = trust.prefix or ("sha256=" if header == _HEADER else "")
    message = body
    if trust.timestamp_header:
        at = headers.get(trust.timestamp_header.lower())
        if at is None:
            raise refused(f"there is no {trust.timestamp_header.lower()}")
        message = at.encode() + b"." + body
    if not any_signature((one.strip().removeprefix(prefix) for one in given.split(",")), trust.secrets, message, trust.algorithm):
        raise refused("the signature is another")
    if trust.timestamp_header:
        fresh(headers[trust.timestamp_header.lower()], now, trust.window)


class WebhookSource:
    """Type, id and subject are fixed, or found in the body by paths such as ``data.action``; without an id, a digest of the body is it."""

    kind = "webhook"

    def verify(self, headers: Mapping[str, str], body: bytes, trust: Trust, now: float) -> None:
        """See ``Source.verify``."""
        verify_signed(headers, body, trust, now)

    def read(self, name: str, headers: Mapping[str, str], body: bytes, trust: Trust) -> list[Event]:
        """See ``Source.read``."""
        data = json_of(body)
        given = next((headers[h] for h in _IDS if headers.get(h)), None)
        return [
            Event(
                id=_at(data, trust.event_id) or given or digest(data),
                source=f"/sources/{name}",
                type=_type(data, trust.event_type) or f"webhook.{name}",
                subject=_at(data, trust.event_subject),
                datacontenttype="application/json",
                data=data,
            )
        ]


def _type(data: Any, said: str | None) -> str | None:
    return _at(data, said) if said and said.startswith("data.") else said


def _at(data: Any, path: str | None) -> str | None:
    if not path:
        return None
    value = look_up({"data": data}, path)
    return None if value is MISSING or value is None or isinstance(value, dict | list) else str(value)

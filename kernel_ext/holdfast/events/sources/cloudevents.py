"""CloudEvents as they are; proved by a token, or by an HMAC of the body in ``X-Holdfast-Signature: sha256=…``."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.events.cloudevents import read_http
from holdfast.events.source import Trust
from holdfast.events.sources.webhook import verify_signed
from holdfast.model.event import Event


class CloudEventsSource:
    """Structured, binary and batched."""

    kind = "cloudevents"

    def verify(self, headers: Mapping[str, str], body: bytes, trust: Trust, now: float) -> None:
        """See ``Source.verify``."""
        verify_signed(headers, body, trust, now)

    def read(self, name: str, headers: Mapping[str, str], body: bytes, trust: Trust) -> list[Event]:
        """See ``Source.read``: id and source are the sender's own."""
        return read_http(headers, body)

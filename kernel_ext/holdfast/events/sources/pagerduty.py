"""PagerDuty's webhooks, version 3: ``{"event": {"id", "event_type", "occurred_at", "agent", "data"}}``, signed in
``X-PagerDuty-Signature: v1=HEX[,v1=HEX]`` with the HMAC-SHA256 of the raw body (several while a secret is replaced).

The signature covers no time, so a replayed request cannot be told by its age; it is told by its event's id, which the inbox has seen. What
occurred longer ago than the window times 288 (a day by default: PagerDuty tries again for that long) is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from holdfast.events.cloudevents import misunderstood, time_or_none
from holdfast.events.signatures import any_signature, refused, stale
from holdfast.events.source import Trust
from holdfast.events.sources.reading import json_object
from holdfast.model.event import Event

_TRIES_AGAIN = 288


class PagerDutySource:
    """Types are PagerDuty's own (``incident.triggered``) behind ``com.pagerduty.``; the subject is the incident's id."""

    kind = "pagerduty"

    def verify(self, headers: Mapping[str, str], body: bytes, trust: Trust, now: float) -> None:
        """See ``Source.verify``."""
        given = headers.get("x-pagerduty-signature")
        if not given:
            raise refused("there is no x-pagerduty-signature")
        signatures = [one.strip().removeprefix("v1=") for one in given.split(",") if one.strip().startswith("v1=")]
        if not any_signature(signatures, trust.secrets, body):
            raise refused("the signature is another")
        occurred = _event(body).get("occurred_at")
        try:
            at = datetime.fromisoformat(str(occurred)).timestamp()
        except ValueError:
            return
        allowed = trust.window * _TRIES_AGAIN
        if now - at > allowed:
            raise stale(now - at, allowed)

    def read(self, name: str, headers: Mapping[str, str], body: bytes, trust: Trust) -> list[Event]:
        """See ``Source.read``."""
        event = _event(body)
        id, type, data = event.get("id"), event.get("event_type"), event.get("data")
        if not isinstance(id, str) or not id or not isinstance(type, str) or not type:
            raise misunderstood("this is no webhook of PagerDuty, version 3: event.id or event.event_type is missing")
        about = data if isinstance(data, dict) else {}
        incident = about if about.get("type") == "incident" else about.get("incident")
        subject = (incident.get("id") if isinstance(incident, dict) else None) or about.get("id")
        return [
            Event(
                id=id,
                source=f"/sources/{name}",
                type=f"com.pagerduty.{type}",
                subject=subject if isinstance(subject, str) and subject else None,
                time=time_or_none(event.get("occurred_at")),
                datacontenttype="application/json",
                data={**about, "agent": event.get("agent"), "client": event.get("client")},
            )
        ]


def _event(body: bytes) -> dict[str, Any]:
    event = json_object(body).get("event")
    if not isinstance(event, dict):
        raise misunderstood("this is no webhook of PagerDuty, version 3: it has no event")
    return event

"""Datadog's Webhooks integration. Its payload is whatever the operator writes; this one is expected, of which only the first two must be::

    {"id": "$ID", "transition": "$ALERT_TRANSITION", "alert_id": "$ALERT_ID", "aggregate": "$AGGREG_KEY", "cycle": "$ALERT_CYCLE_KEY",
     "title": "$EVENT_TITLE", "type": "$ALERT_TYPE", "priority": "$ALERT_PRIORITY", "metric": "$ALERT_METRIC", "scope": "$ALERT_SCOPE",
     "hostname": "$HOSTNAME", "tags": "$TAGS", "link": "$LINK", "date": "$DATE", "body": "$TEXT_ONLY_MSG"}

Datadog signs nothing; give the webhook a custom header ``{"Authorization": "Bearer ..."}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from holdfast.events.cloudevents import misunderstood
from holdfast.events.source import Trust
from holdfast.events.sources.reading import json_object, require_token
from holdfast.model.event import Event

_TYPES: Final = {
    "triggered": "triggered",
    "re-triggered": "retriggered",
    "re-notify": "renotified",
    "renotify": "renotified",
    "recovered": "recovered",
    "warn": "warned",
    "re-warn": "rewarned",
    "no data": "nodata",
    "re-no data": "renodata",
}


class DatadogSource:
    """Types are ``com.datadoghq.monitor.triggered``, ``.recovered``, ``.warned``, ``.nodata``, ``.renotified`` …; the subject is the
    aggregation key (one per monitor and group), else the monitor's id."""

    kind = "datadog"

    def verify(self, headers: Mapping[str, str], body: bytes, trust: Trust, now: float) -> None:
        """See ``Source.verify``."""
        require_token(headers, trust)

    def read(self, name: str, headers: Mapping[str, str], body: bytes, trust: Trust) -> list[Event]:
        """See ``Source.read``."""
        data = json_object(body)
        id, transition = data.get("id"), data.get("transition")
        if not id or not isinstance(transition, str):
            raise misunderstood("id ($ID) or transition ($ALERT_TRANSITION) is missing: see the page on Datadog's payload")
        word = transition.strip().lower()
        kind = _TYPES.get(word) or "".join(c for c in word if c.isalnum()) or "event"
        subject = data.get("aggregate") or data.get("alert_id")
        tags = data.get("tags")
        if isinstance(tags, str):
            data = {**data, "tags": _tags(tags)}
        return [
            Event(
                id=f"{id}/{kind}",
                source=f"/sources/{name}",
                type=f"com.datadoghq.monitor.{kind}",
                subject=str(subject) if subject else None,
                time=_time(data.get("date")),
                datacontenttype="application/json",
                data=data,
            )
        ]


def _tags(text: str) -> dict[str, Any]:
    """``env:prod,team:a,team:b`` as ``{"env": "prod", "team": ["a", "b"]}``; a tag without a value is True."""
    found: dict[str, Any] = {}
    for tag in filter(None, (t.strip() for t in text.split(","))):
        key, colon, value = tag.partition(":")
        new: Any = value if colon else True
        if key in found and new != found[key]:
            old = found[key]
            found[key] = [*(old if isinstance(old, list) else [old]), new]
        else:
            found[key] = new
    return found


def _time(date: Any) -> str | None:
    try:
        return datetime.fromtimestamp(float(date) / 1000, UTC).isoformat().replace("+00:00", "Z")
    except (TypeError, ValueError, OverflowError):
        return None

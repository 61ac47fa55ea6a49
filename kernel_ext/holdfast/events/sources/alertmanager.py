"""Prometheus Alertmanager's webhook, version 4: one event per alert of the group.

Alertmanager signs nothing; give its ``http_config`` a bearer token (``authorization: {credentials: ...}``) or a basic password. It repeats
itself every ``repeat_interval``: the same alert, begun at the same moment, is the same event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holdfast.events.cloudevents import misunderstood, time_or_none
from holdfast.events.source import Trust
from holdfast.events.sources.reading import digest, json_object, require_token
from holdfast.model.event import Event

FIRING: Final = "io.prometheus.alert.firing"
RESOLVED: Final = "io.prometheus.alert.resolved"
_NEVER: Final = "0001-01-01T00:00:00Z"
_GROUP: Final = ("receiver", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "groupKey", "truncatedAlerts")


class AlertmanagerSource:
    """The event's subject is the alert's fingerprint; its data the alert, with the group's own words under ``group``."""

    kind = "alertmanager"

    def verify(self, headers: Mapping[str, str], body: bytes, trust: Trust, now: float) -> None:
        """See ``Source.verify``."""
        require_token(headers, trust)

    def read(self, name: str, headers: Mapping[str, str], body: bytes, trust: Trust) -> list[Event]:
        """See ``Source.read``."""
        group = json_object(body)
        alerts = group.get("alerts")
        if not isinstance(alerts, list) or not all(isinstance(a, dict) and isinstance(a.get("labels"), dict) for a in alerts):
            raise misunderstood("this is no notification of Alertmanager: it has no list of alerts with labels")
        said: dict[str, Any] = {key: group[key] for key in _GROUP if key in group}
        return [_event(name, alert, said) for alert in alerts]


def _event(name: str, alert: dict[str, Any], group: dict[str, Any]) -> Event:
    status = alert.get("status")
    if status not in ("firing", "resolved"):
        raise misunderstood(f"an alert that is neither firing nor resolved but {status!r}")
    fingerprint = str(alert.get("fingerprint") or digest(alert["labels"])[:16])
    began, ended = str(alert.get("startsAt") or ""), str(alert.get("endsAt") or "")
    when = ended if status == "resolved" and ended != _NEVER else began
    return Event(
        id=f"{fingerprint}/{began}/{status}" + (f"/{ended}" if status == "resolved" else ""),
        source=f"/sources/{name}",
        type=FIRING if status == "firing" else RESOLVED,
        subject=fingerprint,
        time=time_or_none(when),
        datacontenttype="application/json",
        data={**alert, "fingerprint": fingerprint, "annotations": alert.get("annotations") or {}, "group": group},
    )

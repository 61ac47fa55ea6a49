"""What a runbook does in Datadog: silence for a while, say what happened, declare and lead an incident."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from holdfast.durable.clock import now
from holdfast.integrations.datadog.connecting import connect
from holdfast.integrations.datadog.looking import unstable


def mute(monitor: int, *, hours: float, message: str, scope: str = "*", client: Any = None) -> str:
    """Silence one monitor for ``hours`` from now; it speaks again by itself. Returns the downtime's id.

    Args:
        monitor: its id.
        message: why, for whoever wonders.
        scope: only groups with these tags: ``host:web-1``.
    Raises:
        datadog_api_client.ApiException: Datadog refuses.
    """
    from datadog_api_client.v2.model.downtime_monitor_identifier_id import DowntimeMonitorIdentifierId

    return _downtime(DowntimeMonitorIdentifierId(monitor_id=monitor), scope, hours, message, client)


def downtime(scope: str, *, hours: float, message: str, monitor_tags: Sequence[str] = ("*",), client: Any = None) -> str:
    """Silence what has the tags of ``scope`` (``env:prod AND service:web``) for ``hours`` from now. Returns the downtime's id.

    Args:
        monitor_tags: only monitors with all of these tags; by default every monitor.
    """
    from datadog_api_client.v2.model.downtime_monitor_identifier_tags import DowntimeMonitorIdentifierTags

    return _downtime(DowntimeMonitorIdentifierTags(monitor_tags=list(monitor_tags)), scope, hours, message, client)


def cancel_downtime(downtime: str, *, client: Any = None) -> None:
    """End a downtime now, also that of one muted monitor."""
    from datadog_api_client.v2.api.downtimes_api import DowntimesApi

    DowntimesApi(client or connect()).cancel_downtime(downtime)


def post_event(
    title: str, text: str, *, tags: Sequence[str] = (), kind: str = "info", together: str = "", host: str = "", client: Any = None
) -> int:
    """Put an event beside the graphs: what was done, and when. Returns its id.

    Args:
        kind: ``info``, ``success``, ``warning`` or ``error``.
        together: events with one such key (``aggregation_key``) are shown as one.
    """
    from datadog_api_client.v1.api.events_api import EventsApi
    from datadog_api_client.v1.model.event_alert_type import EventAlertType
    from datadog_api_client.v1.model.event_create_request import EventCreateRequest

    more: dict[str, Any] = {name: value for name, value in (("aggregation_key", together), ("host", host)) if value}
    asked = EventCreateRequest(title=title, text=text, tags=list(tags), alert_type=EventAlertType(kind), **more)
    return int(EventsApi(client or connect()).create_event(body=asked).event.id)


def declare_incident(
    title: str, *, severity: str = "UNKNOWN", customer_impacted: bool = False, customer_impact: str = "", client: Any = None
) -> str:
    """Declare an incident; returns its id.

    Args:
        severity: ``SEV-1`` to ``SEV-5``, or ``UNKNOWN``.
        customer_impact: what customers feel; needed when they are impacted.
    """
    from datadog_api_client.v2.api.incidents_api import IncidentsApi
    from datadog_api_client.v2.model.incident_create_attributes import IncidentCreateAttributes
    from datadog_api_client.v2.model.incident_create_data import IncidentCreateData
    from datadog_api_client.v2.model.incident_create_request import IncidentCreateRequest
    from datadog_api_client.v2.model.incident_type import IncidentType

    more: dict[str, Any] = {"customer_impact_scope": customer_impact} if customer_impact else {}
    about = IncidentCreateAttributes(title=title, customer_impacted=customer_impacted, fields=_fields(severity=severity), **more)
    asked = IncidentCreateRequest(data=IncidentCreateData(type=IncidentType.INCIDENTS, attributes=about))
    with unstable():
        return str(IncidentsApi(client or connect()).create_incident(body=asked).data.id)


def update_incident(incident: str, *, state: str = "", severity: str = "", client: Any = None) -> None:
    """Change what an incident is said to be.

    Args:
        state: ``active``, ``stable`` or ``resolved``.
        severity: as for :func:`declare_incident`.
    """
    from datadog_api_client.v2.api.incidents_api import IncidentsApi
    from datadog_api_client.v2.model.incident_type import IncidentType
    from datadog_api_client.v2.model.incident_update_attributes import IncidentUpdateAttributes
    from datadog_api_client.v2.model.incident_update_data import IncidentUpdateData
    from datadog_api_client.v2.model.incident_update_request import IncidentUpdateRequest

    about = IncidentUpdateAttributes(fields=_fields(state=state, severity=severity))
    asked = IncidentUpdateRequest(data=IncidentUpdateData(id=incident, type=IncidentType.INCIDENTS, attributes=about))
    with unstable():
        IncidentsApi(client or connect()).update_incident(incident, body=asked)


def _downtime(which: Any, scope: str, hours: float, message: str, client: Any) -> str:
    from datadog_api_client.v2.api.downtimes_api import DowntimesApi
    from datadog_api_client.v2.model.downtime_create_request import DowntimeCreateRequest
    from datadog_api_client.v2.model.downtime_create_request_attributes import DowntimeCreateRequestAttributes
    from datadog_api_client.v2.model.downtime_create_request_data import DowntimeCreateRequestData
    from datadog_api_client.v2.model.downtime_resource_type import DowntimeResourceType
    from datadog_api_client.v2.model.downtime_schedule_one_time_create_update_request import DowntimeScheduleOneTimeCreateUpdateRequest

    end = (now() + datetime.timedelta(hours=hours)).replace(microsecond=0)
    about = DowntimeCreateRequestAttributes(
        monitor_identifier=which, scope=scope, message=message, schedule=DowntimeScheduleOneTimeCreateUpdateRequest(end=end)
    )
    asked = DowntimeCreateRequest(data=DowntimeCreateRequestData(type=DowntimeResourceType.DOWNTIME, attributes=about))
    return str(DowntimesApi(client or connect()).create_downtime(body=asked).data.id)


def _fields(**values: str) -> dict[str, Any]:
    """Fields of an incident with one value each; those without are left as they are."""
    from datadog_api_client.v2.model.incident_field_attributes_single_value import IncidentFieldAttributesSingleValue
    from datadog_api_client.v2.model.incident_field_attributes_single_value_type import IncidentFieldAttributesSingleValueType

    kind = IncidentFieldAttributesSingleValueType.DROPDOWN
    return {name: IncidentFieldAttributesSingleValue(type=kind, value=value) for name, value in values.items() if value}

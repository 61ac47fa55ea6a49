"""Datadog on its own client, v1 and v2: durable calls, metrics, monitors, downtimes, events, logs, incidents.

::

    from holdfast.integrations import datadog

    client = datadog.connect("env:DD_API_KEY", "env:DD_APP_KEY", site="datadoghq.eu")
    show.lines(datadog.query("avg:system.load.1{env:prod} by {host}", client=client))
    datadog.check_monitors(tags=["team:web"], client=client)
    quiet = datadog.mute(123456, hours=2, message="disk is being replaced", client=client)
"""

from __future__ import annotations

from holdfast.integrations.datadog.actions import cancel_downtime, declare_incident, downtime, mute, post_event, update_incident
from holdfast.integrations.datadog.checks import check_incidents, check_metric, check_monitors
from holdfast.integrations.datadog.connecting import connect
from holdfast.integrations.datadog.looking import downtimes, events, incidents, latest, logs, monitors, query

__all__ = [
    "cancel_downtime",
    "check_incidents",
    "check_metric",
    "check_monitors",
    "connect",
    "declare_incident",
    "downtime",
    "downtimes",
    "events",
    "incidents",
    "latest",
    "logs",
    "monitors",
    "mute",
    "post_event",
    "query",
    "update_incident",
]

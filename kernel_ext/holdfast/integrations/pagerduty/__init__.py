"""PagerDuty on its own client: durable calls, alerts by dedup key, incidents.

::

    from holdfast.integrations import pagerduty

    events = pagerduty.connect_events("env:PD_ROUTING_KEY")
    key = events.trigger("web is down", "web-1")
    events.resolve(key)
    api = pagerduty.connect("env:PD_API_KEY", default_from="ops@example.com")
    pagerduty.note("PT4KHLK", "restarted web", client=api)
"""

from __future__ import annotations

from holdfast.integrations.pagerduty.connecting import connect, connect_events
from holdfast.integrations.pagerduty.incidents import acknowledge, check_incidents, incidents, note, on_call, resolve

__all__ = ["acknowledge", "check_incidents", "connect", "connect_events", "incidents", "note", "on_call", "resolve"]

"""The sources that come with Holdfast."""

from __future__ import annotations

from holdfast.events.source import Source
from holdfast.events.sources.alertmanager import AlertmanagerSource
from holdfast.events.sources.cloudevents import CloudEventsSource
from holdfast.events.sources.datadog import DatadogSource
from holdfast.events.sources.pagerduty import PagerDutySource
from holdfast.events.sources.webhook import WebhookSource

_ALL: tuple[Source, ...] = (CloudEventsSource(), AlertmanagerSource(), PagerDutySource(), DatadogSource(), WebhookSource())

#: kind -> source.
SOURCES: dict[str, Source] = {source.kind: source for source in _ALL}

"""One-line commands: ``!datadog mute 123456 --hours 2 --message "disk is replaced"``."""

from __future__ import annotations

from holdfast.integrations.datadog.actions import cancel_downtime, declare_incident, downtime, mute, post_event, update_incident
from holdfast.integrations.datadog.checks import check_incidents, check_metric, check_monitors
from holdfast.integrations.datadog.looking import downtimes, events, incidents, latest, logs, monitors
from holdfast.model.oneliner import family

DATADOG = family(
    "Datadog: metrics, monitors, downtimes, logs, events, incidents; with a client of the notebook, or the keys in the environment",
    reads={
        "latest": latest,
        "monitors": monitors,
        "downtimes": downtimes,
        "logs": logs,
        "events": events,
        "incidents": incidents,
        "check-monitors": check_monitors,
        "check-metric": check_metric,
        "check-incidents": check_incidents,
    },
    writes={
        "mute": mute,
        "downtime": downtime,
        "cancel-downtime": cancel_downtime,
        "post-event": post_event,
        "declare-incident": declare_incident,
        "update-incident": update_incident,
    },
)

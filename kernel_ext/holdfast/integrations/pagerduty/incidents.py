"""Incidents and who is on call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.integrations.pagerduty.connecting import connect
from holdfast.show.findings import Finding, Rows, judge


def incidents(statuses: Sequence[str] = ("triggered", "acknowledged"), *, services: Sequence[str] = (), client: Any = None) -> Rows:
    """Incidents: number, status, urgency, service, who has it, since when.

    Args:
        services: ids; all by default.
    """
    asked = {"statuses[]": list(statuses), **({"service_ids[]": list(services)} if services else {})}
    return Rows(
        {
            "object": one["id"],
            "title": one.get("title") or one.get("summary"),
            "status": one["status"],
            "urgency": one.get("urgency"),
            "service": (one.get("service") or {}).get("summary"),
            "assigned": ", ".join((a.get("assignee") or {}).get("summary") or "" for a in one.get("assignments") or ()),
            "created": one.get("created_at"),
        }
        for one in (client or connect()).list_all("incidents", params=asked)
    )


def check_incidents(*, services: Sequence[str] = (), urgency: str = "high", client: Any = None) -> Finding:
    """Whether no incident of that urgency waits for somebody to take it."""
    rows = incidents(("triggered",), services=services, client=client)
    return judge(
        "unacknowledged incidents", rows, lambda row: f"{row['title']} since {row['created']}" if row["urgency"] == urgency else ""
    )


def on_call(*, client: Any = None) -> Rows:
    """Who is on call now: person, escalation policy, level, until when."""
    found = (client or connect()).list_all("oncalls")
    return Rows(
        {
            "object": (one.get("user") or {}).get("summary"),
            "policy": (one.get("escalation_policy") or {}).get("summary"),
            "level": one.get("escalation_level"),
            "until": one.get("end"),
        }
        for one in found
    )


def note(incident: str, text: str, *, client: Any = None) -> None:
    """Add a note to an incident, once."""
    (client or connect()).rpost(f"incidents/{incident}/notes", json={"content": text})


def acknowledge(incident: str, *, client: Any = None) -> None:
    """Take an incident."""
    _become(incident, "acknowledged", client)


def resolve(incident: str, *, client: Any = None) -> None:
    """Close an incident."""
    _become(incident, "resolved", client)


def _become(incident: str, status: str, client: Any) -> None:
    (client or connect()).rput(f"incidents/{incident}", json={"type": "incident_reference", "status": status})

"""What Datadog knows: metrics as series, monitors, downtimes, logs, events and incidents as rows."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from holdfast.durable.clock import now
from holdfast.integrations.datadog.connecting import connect
from holdfast.show.findings import Rows

_TROUBLE = ("Alert", "Warn", "No Data")
_LOGS_AT_ONCE = 1000


def query(
    metric: str, *, hours: float = 1.0, end: datetime.datetime | None = None, client: Any = None
) -> dict[str, list[tuple[float, float]]]:
    """Each series' points over the last ``hours``, for ``show.lines``.

    Args:
        metric: a query of metrics: ``avg:system.load.1{env:prod} by {host}``.
        end: until when; by default now.
    Raises:
        datadog_api_client.ApiException: Datadog refuses.
    """
    from datadog_api_client.v1.api.metrics_api import MetricsApi

    until = int((end or now()).timestamp())
    found = MetricsApi(client or connect()).query_metrics(_from=until - int(hours * 3600), to=until, query=metric).to_dict()
    return {
        one.get("expression") or f"{one.get('metric')}{{{one.get('scope', '*')}}}": [
            (at / 1000, float(value)) for at, value in one["pointlist"] if at is not None and value is not None
        ]
        for one in found.get("series") or ()
    }


def latest(metric: str, *, hours: float = 0.25, client: Any = None) -> Rows:
    """The newest value of each series of a query: ``object`` (the series), ``value``, ``at``."""
    series = query(metric, hours=hours, client=client)
    return Rows({"object": name, "value": points[-1][1], "at": _when(points[-1][0])} for name, points in series.items() if points)


def monitors(states: Sequence[str] = _TROUBLE, *, tags: Sequence[str] = (), name: str = "", client: Any = None) -> Rows:
    """Monitors in these states: id, name, state, which groups are in trouble, priority, tags, query. All states where none is named.

    Args:
        tags: of the monitors themselves (``team:web``).
        name: a part of their names.
    """
    from datadog_api_client.v1.api.monitors_api import MonitorsApi

    asked: dict[str, Any] = {"group_states": "all"}
    if tags:
        asked["monitor_tags"] = ",".join(tags)
    if name:
        asked["name"] = name
    rows = Rows()
    for one in (m.to_dict() for m in MonitorsApi(client or connect()).list_monitors(**asked)):
        state = str(one.get("overall_state") or "")
        groups = ((one.get("state") or {}).get("groups") or {}).values()
        rows.append(
            {
                "object": one["id"],
                "name": one.get("name"),
                "state": state,
                "groups": ", ".join(sorted(str(g.get("name")) for g in groups if str(g.get("status")) in (states or _TROUBLE))),
                "priority": one.get("priority"),
                "tags": ", ".join(one.get("tags") or ()),
                "query": one.get("query"),
            }
        )
    return Rows(row for row in rows if not states or row["state"] in states)


def downtimes(*, client: Any = None) -> Rows:
    """Downtimes in force or to come: id, monitor or its tags, scope, status, until when, why."""
    from datadog_api_client.v2.api.downtimes_api import DowntimesApi

    rows = Rows()
    for one in DowntimesApi(client or connect()).list_downtimes_with_pagination():
        about = one.to_dict().get("attributes") or {}
        monitor, schedule = about.get("monitor_identifier") or {}, about.get("schedule") or {}
        current = schedule.get("current_downtime") or {}
        if str(about.get("status")) in ("active", "scheduled"):
            rows.append(
                {
                    "object": one.id,
                    "monitor": monitor.get("monitor_id") or ", ".join(monitor.get("monitor_tags") or ()),
                    "scope": about.get("scope"),
                    "status": str(about.get("status")),
                    "until": _text(schedule.get("end") or current.get("end")),
                    "message": about.get("message"),
                }
            )
    return rows


def logs(search: str = "*", *, hours: float = 1.0, most: int = 100, client: Any = None) -> Rows:
    """The newest logs that match: service, when, status, host, what it says.

    Args:
        search: as in the log explorer: ``service:web status:error``.
        most: how many at most.
    """
    from datadog_api_client.v2.api.logs_api import LogsApi
    from datadog_api_client.v2.model.logs_list_request import LogsListRequest
    from datadog_api_client.v2.model.logs_list_request_page import LogsListRequestPage
    from datadog_api_client.v2.model.logs_query_filter import LogsQueryFilter
    from datadog_api_client.v2.model.logs_sort import LogsSort

    until = now()
    span = LogsQueryFilter(query=search, _from=(until - datetime.timedelta(hours=hours)).isoformat(), to=until.isoformat())
    page = LogsListRequestPage(limit=min(most, _LOGS_AT_ONCE))
    asked = LogsListRequest(filter=span, sort=LogsSort.TIMESTAMP_DESCENDING, page=page)
    rows = Rows()
    for one in LogsApi(client or connect()).list_logs_with_pagination(body=asked):
        about = one.to_dict().get("attributes") or {}
        rows.append(
            {
                "object": about.get("service"),
                "at": _text(about.get("timestamp")),
                "status": about.get("status"),
                "host": about.get("host"),
                "message": about.get("message"),
            }
        )
        if len(rows) >= most:
            break
    return rows


def events(*, hours: float = 3.0, tags: Sequence[str] = (), client: Any = None) -> Rows:
    """Events of the last ``hours`` (deployments, alerts, what a runbook posted), newest first: title, when, kind, source, tags."""
    from datadog_api_client.v1.api.events_api import EventsApi

    until = int(now().timestamp())
    asked = {"tags": ",".join(tags)} if tags else {}
    found = EventsApi(client or connect()).list_events(start=until - int(hours * 3600), end=until, unaggregated=True, **asked).to_dict()
    return Rows(
        {
            "object": one.get("title"),
            "at": _when(one.get("date_happened")),
            "kind": str(one.get("alert_type") or ""),
            "host": one.get("host"),
            "tags": ", ".join(one.get("tags") or ()),
        }
        for one in sorted(found.get("events") or (), key=lambda one: one.get("date_happened") or 0, reverse=True)
    )


def incidents(states: Sequence[str] = ("active", "stable"), *, client: Any = None) -> Rows:
    """Incidents in these states, newest first: id, title, severity, state, whether customers feel it, since when."""
    from datadog_api_client.v2.api.incidents_api import IncidentsApi
    from datadog_api_client.v2.model.incident_search_sort_order import IncidentSearchSortOrder

    with unstable():
        asked = f"state:({' OR '.join(states)})"
        answer = IncidentsApi(client or connect()).search_incidents(asked, sort=IncidentSearchSortOrder.CREATED_DESCENDING, page_size=100)
    rows = Rows()
    for one in (answer.to_dict()["data"].get("attributes") or {}).get("incidents") or ():
        about = one["data"].get("attributes") or {}
        fields = about.get("fields") or {}
        rows.append(
            {
                "object": one["data"]["id"],
                "title": about.get("title"),
                "severity": str(about.get("severity") or (fields.get("severity") or {}).get("value") or ""),
                "state": about.get("state") or (fields.get("state") or {}).get("value"),
                "customers": about.get("customer_impacted"),
                "created": _text(about.get("created")),
            }
        )
    return rows


@contextmanager
def unstable() -> Iterator[None]:
    """Without the client's warning at each use that Datadog may change its incidents' API."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using unstable operation")
        yield


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else _text(datetime.datetime.fromtimestamp(seconds, datetime.UTC))


def _text(moment: Any) -> str | None:
    return moment.isoformat(timespec="seconds") if isinstance(moment, datetime.datetime) else moment

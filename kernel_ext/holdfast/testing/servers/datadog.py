"""A stand-in for Datadog's API, v1 and v2, on loopback, as far as Holdfast's integration uses it, after Datadog's OpenAPI documents.

Keys are looked at (403 without them; what is only submitted needs no application key); a refusal for the rate has the headers
``X-RateLimit-*``; events and incidents are searched in an index that can lag (:attr:`Datadog.lagging`); every POST makes a new thing,
whatever it is called; downtimes come in pages; to delete what is gone gives 404, to mute what is muted 400. Metrics and logs are always the
same. Nobody is called.

``python -m holdfast.testing.servers.datadog [PORT]`` serves until Ctrl-C.
"""

from __future__ import annotations

import re
import sys
import uuid
from typing import Any

from holdfast.foundation import clock
from holdfast.testing.servers.standing_in import Came, Said, StandIn, serve_until_interrupted

#: What it knows its client by.
API_KEY, APP_KEY = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210fedcba98"
_EPOCH = 1_700_000_000


def _monitor(number: int, name: str, state: str, group: str, **more: Any) -> dict[str, Any]:
    groups = {group: {"name": group, "status": state, "last_triggered_ts": _EPOCH}}
    return {"id": number, "name": name, "type": "metric alert", "overall_state": state, "state": {"groups": groups}, "options": {}, **more}


class _World(StandIn):
    """What there is, and what v1 does with it."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """As at the beginning: three monitors, one in alarm, and one incident."""
        disk = "avg(last_5m):max:system.disk.in_use{env:prod} by {host} > 0.9"
        self.monitors: dict[int, dict[str, Any]] = {
            11: _monitor(11, "disk of web", "Alert", "host:web-1", query=disk, tags=["team:web"], priority=2),
            12: _monitor(12, "load of web", "OK", "host:web-1", query="avg(last_5m):avg:system.load.1{*} > 8", tags=["team:web"]),
            13: _monitor(13, "heartbeat of db", "No Data", "host:db-1", query="avg(last_5m):avg:db.up{*} < 1", tags=["team:db"]),
        }
        self.downtimes: dict[str, dict[str, Any]] = {}
        self.old_downtimes: dict[int, dict[str, Any]] = {}  # of v1
        self.events: list[dict[str, Any]] = []
        self.incidents: dict[str, dict[str, Any]] = {}
        self.muted: dict[str, list[str]] = {}  # host -> what was done to it
        self.series: list[dict[str, Any]] = []
        self.lagging = False  # nothing new is to be found in an index yet
        self.refuse, self.lose = 0, []
        self.requests.clear()
        self.declare({"title": "checkout is slow", "fields": {"severity": {"type": "dropdown", "value": "SEV-2"}}})

    def declare(self, given: dict[str, Any]) -> dict[str, Any]:
        """A new incident."""
        name = str(uuid.uuid4())
        about = {
            "created": clock.iso(clock.now()),
            "customer_impacted": False,
            "state": "active",
            "public_id": len(self.incidents) + 1,
            **given,
        }
        about["severity"] = ((given.get("fields") or {}).get("severity") or {}).get("value") or "UNKNOWN"
        self.incidents[name] = {"id": name, "type": "incidents", "attributes": about}
        return self.incidents[name]

    def refusal(self) -> Said:
        headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Period": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Name": "stand_in"}
        return Said(429, {"errors": ["Rate limit of 60 requests in 60 seconds reached."]}, {**headers, "X-RateLimit-Reset": "0"})

    def _query(self, came: Came) -> Any:
        end = int(came.query["to"][0])
        points = [[(end - 60 * n) * 1000, None if n == 1 else 0.5 + n / 10] for n in reversed(range(5))]
        one = {"metric": "system.disk.in_use", "scope": "host:web-1", "expression": "max:system.disk.in_use{host:web-1}", "aggr": "max"}
        return {"status": "ok", "query": came.query["query"][0], "series": [{**one, "pointlist": points}]}

    def _list_monitors(self, came: Came) -> Any:
        name, tags = came.query.get("name", [""])[0], set(filter(None, came.query.get("monitor_tags", [""])[0].split(",")))
        found = self.monitors.values()
        return [m for m in found if name.lower() in m["name"].lower() and tags <= set(m.get("tags") or ())]

    def _make_monitor(self, came: Came) -> Any:
        number = max(self.monitors) + 1
        self.monitors[number] = {**came.document, "id": number, "overall_state": "No Data", "options": came.document.get("options") or {}}
        return self.monitors[number]

    def _validate(self, came: Came) -> Any:
        return (
            {} if "(" in came.document.get("query", "") else Said(400, {"errors": ["The value provided for parameter 'query' is invalid"]})
        )

    def _change_monitor(self, came: Came, number: str) -> Any:
        if int(number) not in self.monitors:
            return Said(404, {"errors": ["Monitor not found"]})
        self.monitors[int(number)].update(came.document)
        return self.monitors[int(number)]

    def _delete_monitor(self, came: Came, number: str) -> Any:
        gone = self.monitors.pop(int(number), None)
        return {"deleted_monitor_id": int(number)} if gone else Said(404, {"errors": ["Monitor not found"]})

    def _post_event(self, came: Came) -> Any:
        number = 7_000_000 + len(self.events)
        one = {"date_happened": int(clock.now()), "alert_type": "info", **came.document, "id": number, "id_str": str(number)}
        self.events.append(one)
        return Said(202, {"status": "ok", "event": one})

    def _list_events(self, came: Came) -> Any:
        begin, end = (int(came.query[name][0]) for name in ("start", "end"))
        tags = set(filter(None, came.query.get("tags", [""])[0].split(",")))
        found = [] if self.lagging else [e for e in self.events if begin <= e["date_happened"] <= end and tags <= set(e.get("tags") or ())]
        return {"status": "ok", "events": found[-1000:]}

    def _host(self, came: Came, host: str, what: str) -> Any:
        done = self.muted.setdefault(host, [])
        if (done[-1:] == ["mute"]) == (what == "mute") and not came.document.get("override"):
            return Said(400, {"errors": [f"host:{host} is {'already' if what == 'mute' else 'not'} muted"]})
        done.append(what)
        return {"action": "Muted" if what == "mute" else "Unmuted", "hostname": host}

    def _old_downtime(self, came: Came) -> Any:
        number = 500 + len(self.old_downtimes)
        self.old_downtimes[number] = {**came.document, "id": number, "active": True}
        return self.old_downtimes[number]


class Datadog(_World):
    """What it knows is the truth about what arrived."""

    def answer(self, came: Came) -> Said:
        what = came.path.removeprefix("/api/")
        submitted = came.method == "POST" and what in ("v1/events", "v2/series")
        if came.headers.get("dd-api-key") != API_KEY or (not submitted and came.headers.get("dd-application-key") != APP_KEY):
            return Said(403, {"errors": ["Forbidden"]})
        for pattern, method, work in _WAYS:
            found = re.fullmatch(pattern, what)
            if found and method == came.method:
                return _said(work(self, came, *found.groups()))
        return Said(404, {"errors": ["Not found"]})

    def _list_downtimes(self, came: Came) -> Any:
        offset, limit = (int(came.query.get(f"page[{name}]", [default])[0]) for name, default in (("offset", "0"), ("limit", "30")))
        found = list(self.downtimes.values())
        return {"data": found[offset : offset + limit], "meta": {"page": {"total_filtered_count": len(found)}}}

    def _make_downtime(self, came: Came) -> Any:
        given, name = came.document["data"]["attributes"], str(uuid.uuid4())
        about = {**given, "status": "active", "schedule": {"start": clock.iso(clock.now()), **given.get("schedule", {})}}
        self.downtimes[name] = {"id": name, "type": "downtime", "attributes": about}
        return {"data": self.downtimes[name]}

    def _cancel_downtime(self, came: Came, name: str) -> Any:
        about = (self.downtimes.get(name) or {"attributes": {"status": "canceled"}})["attributes"]
        if about["status"] == "canceled":
            return Said(404, {"errors": ["Downtime not found"]})
        about["status"] = "canceled"
        return Said(204)

    def _make_incident(self, came: Came) -> Any:
        return Said(201, {"data": self.declare(came.document["data"]["attributes"])})

    def _search_incidents(self, came: Came) -> Any:
        query = came.query["query"][0]
        title = re.search(r'title:"(.*)"', query)
        found = [] if self.lagging else list(self.incidents.values())[::-1]
        found = [i for i in found if title is None or title[1] in i["attributes"]["title"]]
        found = [i for i in found if "state:" not in query or i["attributes"]["state"] in query]
        about = {"facets": {}, "incidents": [{"data": one} for one in found], "total": len(found)}
        return {"data": {"type": "incidents_search_results", "attributes": about}, "meta": {"pagination": {"size": len(found)}}}

    def _change_incident(self, came: Came, name: str) -> Any:
        if name not in self.incidents:
            return Said(404, {"errors": ["incident not found"]})
        about = self.incidents[name]["attributes"]
        for field, given in (came.document["data"]["attributes"].get("fields") or {}).items():
            about[field] = given["value"]
        return {"data": self.incidents[name]}

    def _logs(self, came: Came) -> Any:
        limit = came.document["page"]["limit"]
        first = int(came.document["page"].get("cursor") or 0)
        lines = [
            {"id": f"L{n}", "type": "log", "attributes": {"service": "web", "host": "web-1", "status": "error", "message": f"disk full {n}",
             "timestamp": clock.iso(_EPOCH + n), "tags": [], "attributes": {}}}
            for n in range(first, min(first + limit, 250))
        ]  # fmt: skip
        after = {"after": str(first + limit)} if first + limit < 250 else {}
        return {"data": lines, "meta": {"status": "done", "page": after}}

    def _points(self, came: Came) -> Any:
        self.series += came.document["series"]
        return Said(202, {"errors": []})


_WAYS: tuple[tuple[str, str, Any], ...] = (
    ("v1/query", "GET", Datadog._query),
    ("v1/monitor", "GET", Datadog._list_monitors),
    ("v1/monitor", "POST", Datadog._make_monitor),
    ("v1/monitor/validate", "POST", Datadog._validate),
    (r"v1/monitor/(\d+)", "PUT", Datadog._change_monitor),
    (r"v1/monitor/(\d+)", "DELETE", Datadog._delete_monitor),
    ("v1/events", "POST", Datadog._post_event),
    ("v1/events", "GET", Datadog._list_events),
    ("v1/host/([^/]+)/(mute|unmute)", "POST", Datadog._host),
    ("v1/downtime", "POST", Datadog._old_downtime),
    ("v1/downtime", "GET", lambda world, came: list(world.old_downtimes.values())),
    ("v2/downtime", "GET", Datadog._list_downtimes),
    ("v2/downtime", "POST", Datadog._make_downtime),
    ("v2/downtime/([^/]+)", "DELETE", Datadog._cancel_downtime),
    ("v2/incidents", "POST", Datadog._make_incident),
    ("v2/incidents/search", "GET", Datadog._search_incidents),
    ("v2/incidents/([^/]+)", "PATCH", Datadog._change_incident),
    ("v2/logs/events/search", "POST", Datadog._logs),
    ("v2/series", "POST", Datadog._points),
)


def _said(found: Any) -> Said:
    return found if isinstance(found, Said) else Said(document=found)


if __name__ == "__main__":
    serve_until_interrupted(
        Datadog,
        int(sys.argv[1]) if len(sys.argv) > 1 else 0,
        f"export DD_API_KEY={API_KEY} DD_APP_KEY={APP_KEY}\ndatadog.connect(url='{{url}}')",
    )

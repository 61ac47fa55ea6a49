"""Datadog's client, v1 and v2: what each request does, and how to find out afterwards whether it happened.

A downtime carries the call's key in its message and an event in its tags, and they are found by it. Monitors and incidents have no room for
a mark: a monitor is found by being one more than before, an incident by its title among those declared since. What Datadog searches in
an index (events, incidents) is not there at once, so that not to find it proves something only after a while.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from holdfast.durable.dialect import Answer, Ask, Asked, Dialect, Question, SpeakingInterceptor, altered, answer_of, document, shown
from holdfast.durable.interceptor import Attempt, Recorder, Transient
from holdfast.durable.interceptors.http import Sent, assumed
from holdfast.foundation import clock
from holdfast.model.call import Effect

#: Seconds after which an index that does not show a thing proves that it was not made.
INDEXED = 120.0
_PAGE = 100

_VERSION = re.compile(r"/api/(?:v\d|unstable)/")
# POSTs that only ask: searches, analytics, validations, and lists that take their filter as a body.
_ASKS = re.compile(
    r"(?:.+/)?(?:search|simple-search|aggregate|validate|validation|validate[-_][\w-]+|uptimes|preview|metric_name_filter_preview)|"
    r"(?:ddsql/query|query|rum/query|code-coverage)/.+|product-analytics/(?!.*mapping/).+|llm-obs/v1/experimentation/analytics|"
    r"logs-queries/list|dora/(?:deployments|failures)|cost/recommendations|reference-tables/queries/batch-rows|"
    r"ci/test-optimization/settings/\w+|test/flaky-test-management/tests|dem/journeys/suites/batch|static-analysis/rulesets|"
    r"security_monitoring/(?:rules/(?:bulk_export|test|convert|convert/bulk|[^/]+/test)|terraform/.+|datasets/dependencies|"
    r"configuration/suppressions/rules)|integration/aws/logs/(?:check|services)_async|sourcemaps/service_repository_info"
)
# POSTs that say how a thing is to be: made twice they leave it as made once.
_SETS = re.compile(
    r"(?:.+/)?(?:mute|unmute|by_scope|acknowledge|resolve|archive|unarchive|enable|disable|activate|deactivate|assign|unassign|status|"
    r"priority|title|description|due_date|resolved_reason|pause|resume|publish|unpublish|reorder|favorites|bulk[-_]delete|delete)|"
    r"restriction_policy/[^/]+|catalog/(?:entity|kind)|services/definitions|tags/hosts/[^/]+|cases/[^/]+/watchers/[^/]+"
)
_DESTROYS = re.compile(r"(?:.+/)?(?:bulk[-_]delete|delete)|deletion/data/.+|org/disable|org/[^/]+/downgrade")
_KEYS = re.compile(r"(?:.+/)?(?:api_keys?|application_keys?|access_tokens|personal_access_tokens)(?:/[^/]+)?")
_DOWNTIME = re.compile(r"downtime(?:/[^/]+)?")
_HOST = re.compile(r"host/[^/]+/(mute|unmute)")


class DatadogDialect(Dialect):
    """See the module."""

    name = "datadog"

    def understand(self, sent: Sent) -> Asked | None:
        what, body = _what(sent), _body(sent)
        destructive = (sent.method == "DELETE" and _DOWNTIME.fullmatch(what) is None) or _DESTROYS.fullmatch(what) is not None
        name = str(body.get("name") or "") if (sent.method, what) == ("POST", "monitor") else ""
        return Asked(
            operation=f"{sent.method.lower()} {what}",
            effect=_effect(sent.method, what, body),
            target=f"datadog://{urlsplit(sent.url).netloc}/{_touched(what, body)}",
            destructive=destructive,
            arguments=shown(sent.body),
            recorded=_KEYS.fullmatch(what) is None,
            look=f"/api/v1/monitor?name={quote(name)}" if name else "",
        )

    def prepare(self, q: Question, attempt: Attempt) -> Sent:
        if q.sent.method != "POST":
            return q.sent
        path, body = urlsplit(q.sent.url).path, _body(q.sent)
        attributes = _attributes(body)
        if path == "/api/v1/events":
            return altered(q.sent, body={**body, "tags": [*(body.get("tags") or ()), _tag(attempt)]})
        if path == "/api/v1/downtime":
            return altered(q.sent, body={**body, "message": _marked(body, attempt)})
        if path == "/api/v2/downtime":
            return altered(q.sent, body=_with(body, message=_marked(attributes, attempt)))
        if path == "/api/v2/events" and attributes.get("category") == "alert" and not attributes.get("aggregation_key"):
            return altered(q.sent, body=_with(body, aggregation_key=attempt.idempotency_key))
        return q.sent

    def probe(self, q: Question, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
        if q.sent.method != "POST":
            return None
        path = urlsplit(q.sent.url).path
        if path == "/api/v1/events":
            return _event(attempt, ask)
        if _DOWNTIME.fullmatch(_what(q.sent)):
            return _downtime(path, attempt, ask)
        if path == "/api/v1/monitor":
            return _monitor(q, ask)
        return _incident(str(_attributes(_body(q.sent)).get("title")), attempt, ask) if path == "/api/v2/incidents" else None

    def settle(self, q: Question, attempt: Attempt, answer: Answer, ask: Ask) -> Answer:
        what, status = _what(q.sent), answer["status"]
        if q.sent.method == "DELETE" and status in (404, 410):
            kind, _, name = what.rpartition("/")
            gone = {"deleted_monitor_id": int(name)} if kind == "monitor" and name.isdigit() else {}
            return answer_of(gone, note=f"already-gone; status={status}")
        if status == 400 and _HOST.fullmatch(what) and re.search(rb"(?i)already muted|not muted", answer["body"] or b""):
            return {**self.assumed(q, None), "headers": [["Content-Type", "application/json"], ["x-holdfast", "already-done; status=400"]]}
        return answer

    def preview(self, q: Question) -> Sent | None:
        return altered(q.sent, url=q.sent.url.partition("?")[0] + "/validate") if _creates_monitor(q) else None

    def keep(self, q: Question, answer: Answer) -> Answer:
        validated = _creates_monitor(q) and answer["status"] == 200 and document(answer["body"]) == {}
        return self.assumed(q, None) if validated else answer

    def transient(self, q: Question, answer: Answer) -> Transient | None:
        if answer["status"] != 429:
            return None
        given = {name.lower(): value for name, value in answer["headers"]}
        text = given.get("x-ratelimit-reset", given.get("retry-after", ""))
        after = float(text) if text.replace(".", "", 1).isdigit() else None
        name = given.get("x-ratelimit-name")
        return Transient(reason="429 Too Many Requests" + (f" ({name})" if name else ""), retry_after=after)

    def assumed(self, q: Question, value: Any) -> Answer:
        if value is not None:
            return assumed(value)
        what, body = _what(q.sent), _body(q.sent)
        if _HOST.fullmatch(what):
            return answer_of({"action": what.rpartition("/")[2].title() + "d", "hostname": what.split("/")[1]}, note="assumed")
        if what == "events" and "data" not in body:
            return answer_of({"status": "ok", "event": {"id": 0, "id_str": "0", **body}}, status=202, note="assumed")
        if "data" in body and isinstance(body["data"], dict):
            made = {"id": "00000000-0000-0000-0000-000000000000", **body["data"]}
            if what.startswith("incidents/") and isinstance(made.get("attributes"), dict):  # an answer has one, a change need not
                made["attributes"] = {"title": "", **made["attributes"]}
            return answer_of({**body, "data": made}, status=201 if q.sent.method == "POST" else 200, note="assumed")
        return answer_of({**({"id": 0} if q.sent.method == "POST" else {}), **body}, note="assumed")


class DatadogInterceptor(SpeakingInterceptor):
    """Wraps ``RESTClientObject.request``: the client and its threaded form. The asynchronous one speaks aiosonic, which is not recorded.

    An event is posted with the API key alone and found again with the application key too, so that goes along where the client has one.
    """

    name = "datadog"
    modules = ("datadog_api_client.api_client",)
    chokes = (("datadog_api_client.rest:RESTClientObject", "request"),)
    private = (("datadog_api_client.api_client:ApiClient", "use_delegated_token_auth"),)

    def dialect(self) -> Dialect:
        return DatadogDialect()

    def install(self, recorder: Recorder) -> None:
        super().install(recorder)
        from datadog_api_client.api_client import Endpoint

        original = Endpoint.update_params_for_auth

        @functools.wraps(original)
        def update_params_for_auth(endpoint: Any, headers: Any, queries: Any) -> None:
            original(endpoint, headers, queries)
            settings = endpoint.api_client.configuration
            if (endpoint.settings["version"], endpoint.settings["operation_id"]) == (
                "v1",
                "create_event",
            ) and "appKeyAuth" in settings.api_key:
                headers["DD-APPLICATION-KEY"] = settings.get_api_key_with_prefix("appKeyAuth")

        self._originals.append((Endpoint, "update_params_for_auth", original))
        Endpoint.update_params_for_auth = update_params_for_auth


# ---- what a request is ----


def _what(sent: Sent) -> str:
    """The path without its version."""
    return _VERSION.sub("", urlsplit(sent.url).path, count=1).strip("/")


def _body(sent: Sent) -> dict[str, Any]:
    found = document(sent.body)
    return found if isinstance(found, dict) else {}


def _attributes(body: dict[str, Any]) -> dict[str, Any]:
    data = body.get("data")
    found = data.get("attributes") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _effect(method: str, what: str, body: dict[str, Any]) -> Effect:
    if method in ("GET", "HEAD") or (method == "POST" and _ASKS.fullmatch(what)):
        return Effect.READ
    if method in ("PUT", "PATCH", "DELETE") or _SETS.fullmatch(what):
        return Effect.IDEMPOTENT
    if what == "events" and _attributes(body).get("category") == "alert":
        return Effect.IDEMPOTENT  # alerts with one aggregation key are one
    if what == "series" and _gauges(body.get("series")):
        return Effect.IDEMPOTENT
    return Effect.WRITE


def _gauges(series: Any) -> bool:
    """Whether all are gauges with times: the last value of a time counts. Counts and distributions add up."""
    return isinstance(series, list) and bool(series) and all(one.get("type") in ("gauge", 3) and one.get("points") for one in series)


def _touched(what: str, body: dict[str, Any]) -> str:
    """What a request changes: a downtime changes the monitors that it silences."""
    if what != "downtime":
        return what
    given = {**body, **_attributes(body)}
    monitor = given.get("monitor_id") or (given.get("monitor_identifier") or {}).get("monitor_id")
    scope = given.get("scope") or "*"
    return f"monitor/{monitor}" if monitor else f"downtime/{','.join(scope) if isinstance(scope, list) else scope}"


def _creates_monitor(q: Question) -> bool:
    return q.sent.method == "POST" and urlsplit(q.sent.url).path == "/api/v1/monitor"


# ---- how a thing is known again ----


def _tag(attempt: Attempt) -> str:
    return f"holdfast_call:{attempt.idempotency_key}"


def _mark(attempt: Attempt) -> str:
    return f"[holdfast {attempt.idempotency_key[:13]}]"


def _marked(given: dict[str, Any], attempt: Attempt) -> str:
    return f"{given.get('message') or ''} {_mark(attempt)}".strip()


def _with(body: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {**body, "data": {**body["data"], "attributes": {**_attributes(body), **attributes}}}


def _unseen(attempt: Attempt) -> Literal[False] | None:
    """What it means that an index does not show it."""
    return False if attempt.begun and clock.now() - attempt.begun > INDEXED else None


def _event(attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
    begin = int((attempt.begun or clock.now() - 3600) - 60)
    query = f"start={begin}&end={int(clock.now()) + 60}&tags={quote(_tag(attempt))}&unaggregated=true"
    answer = ask("GET", f"/api/v1/events?{query}", None)
    if answer["status"] != 200:
        return None  # the keys may not read events
    found = (document(answer["body"]) or {}).get("events") or ()
    return answer_of({"status": "ok", "event": found[0]}, status=202, note="already-there") if found else _unseen(attempt)


def _downtime(path: str, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
    for page in _pages(path, ask):
        if page is None:
            return None
        for one in page:
            if _mark(attempt) in str(one.get("message") or (one.get("attributes") or {}).get("message") or ""):
                return answer_of({"data": one} if "attributes" in one else one, note="already-there")
    return False


def _pages(path: str, ask: Ask) -> Iterator[list[dict[str, Any]] | None]:
    """All downtimes; None where they cannot be had. v1 gives all at once, v2 by pages."""
    offset = 0
    while True:
        answer = ask("GET", path if "/v1/" in path else f"{path}?page%5Blimit%5D={_PAGE}&page%5Boffset%5D={offset}", None)
        found = document(answer["body"])
        rows = found.get("data") if isinstance(found, dict) else found
        if answer["status"] != 200 or not isinstance(rows, list):
            yield None
            return
        yield rows
        offset += _PAGE
        if isinstance(found, list) or len(rows) < _PAGE:
            return


def _monitor(q: Question, ask: Ask) -> Answer | Literal[False] | None:
    answer = ask("GET", q.asked.look, None) if q.asked.look and q.before is not None else None
    if answer is None or answer["status"] != 200:
        return None
    made, known = _body(q.sent), {one["id"] for one in document((q.before or {}).get("body")) or ()}
    same = ("name", "type", "query")
    found = [m for m in document(answer["body"]) or () if m["id"] not in known and all(m.get(k) == made.get(k) for k in same)]
    return answer_of(found[0], note="already-there") if found else False


def _incident(title: str, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
    quoted = quote('title:"' + title.replace('"', '\\"') + '"')
    answer = ask("GET", f"/api/v2/incidents/search?query={quoted}&sort=-created&page%5Bsize%5D={_PAGE}", None)
    found = document(answer["body"])
    if answer["status"] != 200 or not isinstance(found, dict) or not attempt.begun:
        return None
    for one in _attributes(found).get("incidents") or ():
        about = one["data"].get("attributes") or {}
        if about.get("title") == title and _seconds(about.get("created")) > attempt.begun - 60:
            return answer_of({"data": one["data"]}, status=201, note="already-there")
    return _unseen(attempt)


def _seconds(text: Any) -> float:
    try:
        return datetime.datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0

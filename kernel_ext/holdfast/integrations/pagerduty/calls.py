"""PagerDuty's client: events are the same by their dedup key, incidents by their incident key, notes by being one more than before."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from holdfast.durable.dialect import Answer, Ask, Asked, Dialect, Question, SpeakingInterceptor, altered, answer_of, document
from holdfast.durable.interceptor import Attempt
from holdfast.durable.interceptors.http import Sent, assumed
from holdfast.model.call import Effect

_NOTES = re.compile(r"/incidents/[^/]+/notes")
_SETTLING = re.compile(r"/incidents/[^/]+/(snooze|merge)")


class PagerDutyDialect(Dialect):
    """See the module."""

    name = "pagerduty"

    def understand(self, sent: Sent) -> Asked | None:
        path, body = urlsplit(sent.url).path, document(sent.body)
        body = body if isinstance(body, dict) else {}
        if path == "/v2/enqueue" and sent.method == "POST":
            key = body.get("dedup_key") or ""
            shown = {name: value for name, value in body.items() if name != "routing_key"}
            operation = f"{body.get('event_action', 'trigger')} {key}".strip()
            return Asked(operation=operation, effect=Effect.IDEMPOTENT, target=f"pagerduty://events/{key or 'new'}", arguments=shown)
        effect = {"GET": Effect.READ, "HEAD": Effect.READ, "PUT": Effect.IDEMPOTENT, "DELETE": Effect.IDEMPOTENT}.get(
            sent.method, Effect.WRITE
        )
        if sent.method == "POST" and (path == "/incidents" or _SETTLING.fullmatch(path)):
            effect = Effect.IDEMPOTENT
        return Asked(
            operation=f"{sent.method.lower()} {path.strip('/')}",
            effect=effect,
            target=f"pagerduty:/{path}",
            destructive=sent.method == "DELETE",
            arguments={name: value for name, value in body.items() if name != "routing_key"},
            look=path if sent.method == "POST" and _NOTES.fullmatch(path) else "",
        )

    def prepare(self, q: Question, attempt: Attempt) -> Sent:
        path, body = urlsplit(q.sent.url).path, document(q.sent.body)
        if path == "/v2/enqueue" and isinstance(body, dict) and not body.get("dedup_key"):
            return altered(q.sent, body={**body, "dedup_key": attempt.idempotency_key})
        if path == "/incidents" and q.sent.method == "POST" and isinstance(body, dict):
            incident = body.get("incident") or {}
            if not incident.get("incident_key"):
                return altered(q.sent, body={**body, "incident": {**incident, "incident_key": attempt.idempotency_key}})
        return q.sent

    def probe(self, q: Question, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
        path = urlsplit(q.sent.url).path
        if path == "/incidents" and q.sent.method == "POST":
            key = ((document(q.sent.body) or {}).get("incident") or {}).get("incident_key") or attempt.idempotency_key
            found = document(ask("GET", f"/incidents?incident_key={quote(key)}&date_range=all", None)["body"]) or {}
            there = found.get("incidents") or []
            return answer_of({"incident": there[-1]}, status=201, note="already-there") if there else None
        if not q.asked.look or q.before is None:
            return None
        text = ((document(q.sent.body) or {}).get("note") or {}).get("content")
        before = [n for n in (document(q.before["body"]) or {}).get("notes") or () if n.get("content") == text]
        answer = ask("GET", path, None)
        if answer["status"] != 200:
            return None
        now = [n for n in (document(answer["body"]) or {}).get("notes") or () if n.get("content") == text]
        return answer_of({"note": now[0]}, status=201, note="already-there") if len(now) > len(before) else False

    def settle(self, q: Question, attempt: Attempt, answer: Answer, ask: Ask) -> Answer:
        if answer["status"] == 400 and urlsplit(q.sent.url).path == "/incidents" and (found := self.probe(q, attempt, ask)):
            return found
        if q.sent.method == "DELETE" and answer["status"] in (404, 410):
            return answer_of(None, status=204, note=f"already-gone; status={answer['status']}")
        return answer

    def assumed(self, q: Question, value: Any) -> Answer:
        if value is not None:
            return assumed(value)
        body = document(q.sent.body)
        body = body if isinstance(body, dict) else {}
        if urlsplit(q.sent.url).path == "/v2/enqueue":
            return answer_of({"status": "success", "dedup_key": body.get("dedup_key") or "dry-run"}, status=202, note="assumed")
        return answer_of(body, status=201 if q.sent.method == "POST" else 200, note="assumed")


class PagerDutyInterceptor(SpeakingInterceptor):
    """Wraps ``ApiClient.request``: the REST API's and the Events API's clients."""

    name = "pagerduty"
    modules = ("pagerduty.api_client",)
    chokes = (("pagerduty.api_client:ApiClient", "request"),)

    def dialect(self) -> Dialect:
        return PagerDutyDialect()

"""Alertmanager: alerts, and silences that are made once and end by themselves.

Alertmanager gives each silence a new id, so a silence says in its comment which call made it; by that a probe finds it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from holdfast.durable.clock import now
from holdfast.durable.dialect import Answer, Ask, Asked, Dialect, Question, altered, answer_of, document, speaking
from holdfast.durable.interceptor import Attempt
from holdfast.durable.interceptors.http import Sent
from holdfast.integrations.prometheus.sending import Server
from holdfast.model.call import Effect
from holdfast.show.findings import Rows


class AlertmanagerDialect(Dialect):
    """See the module."""

    name = "alertmanager"

    def understand(self, sent: Sent) -> Asked | None:
        parts = urlsplit(sent.url)
        what = parts.path.partition("/api/v2/")[2]
        if sent.method == "GET":
            return Asked(operation=f"get {what}", effect=Effect.READ)
        body = document(sent.body)
        shown = body if isinstance(body, dict) else {}
        matchers = ",".join(f"{m['name']}{'=' if m.get('isEqual', True) else '!='}{m['value']}" for m in shown.get("matchers") or ())
        return Asked(
            operation=f"{'silence' if sent.method == 'POST' else 'expire'} {matchers or what}",
            effect=Effect.IDEMPOTENT,
            target=f"alertmanager://{parts.netloc}/{matchers or what}",
            arguments=shown,
        )

    def prepare(self, q: Question, attempt: Attempt) -> Sent:
        body = document(q.sent.body)
        if q.sent.method != "POST" or not isinstance(body, dict):
            return q.sent
        return altered(q.sent, body={**body, "comment": f"{body.get('comment', '')} {_mark(attempt)}".strip()})

    def probe(self, q: Question, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
        path = urlsplit(q.sent.url).path
        if q.sent.method == "DELETE":
            found = document(ask("GET", path, None)["body"])
            gone = isinstance(found, dict) and (found.get("status") or {}).get("state") == "expired"
            return answer_of(None, note="already-expired") if gone else None
        answer = ask("GET", path, None)
        if answer["status"] != 200:
            return None
        for one in document(answer["body"]) or ():
            if _mark(attempt) in one.get("comment", ""):
                return answer_of({"silenceID": one["id"]}, note="already-there")
        return False

    def settle(self, q: Question, attempt: Attempt, answer: Answer, ask: Ask) -> Answer:
        return (self.probe(q, attempt, ask) or answer) if answer["status"] >= 400 else answer

    def assumed(self, q: Question, value: Any) -> Answer:
        return answer_of({"silenceID": value if isinstance(value, str) else ""}, note="assumed")


def _mark(attempt: Attempt) -> str:
    return f"[holdfast {attempt.idempotency_key[:13]}]"


class Alertmanager(Server):
    """An Alertmanager."""

    def ask(self, method: str, path: str, **arguments: Any) -> Any:
        """See :meth:`Server.ask`."""
        with speaking(AlertmanagerDialect()):
            return super().ask(method, path, **arguments)

    def alerts(self, **labels: str) -> Rows:
        """Alerts with these labels: name, state (``active``, ``suppressed``), since when, where their runbook is."""
        filters = [f'{name}="{value}"' for name, value in labels.items()]
        found = self.ask("GET", "/api/v2/alerts", params={"filter": filters})
        return Rows(
            {
                "object": a["labels"].get("alertname"),
                "state": a["status"]["state"],
                "since": a["startsAt"],
                "runbook": a["annotations"].get("runbook_url"),
                "fingerprint": a["fingerprint"],
                **a["labels"],
            }
            for a in found
        )

    def silences(self, *, states: tuple[str, ...] = ("active", "pending")) -> Rows:
        """Silences: matchers, until when, by whom, why."""
        found = self.ask("GET", "/api/v2/silences")
        return Rows(
            {
                "object": s["id"],
                "state": s["status"]["state"],
                "matchers": ", ".join(f"{m['name']}={m['value']}" for m in s["matchers"]),
                "until": s["endsAt"],
                "by": s["createdBy"],
                "comment": s["comment"],
            }
            for s in found
            if s["status"]["state"] in states
        )

    def silence(self, labels: Mapping[str, str], *, hours: float, comment: str, by: str = "holdfast") -> str:
        """Silence the alerts with these labels for ``hours`` from now; returns the silence's id (empty in a dry run)."""
        begin = now()
        body = {
            "matchers": [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()],
            "startsAt": begin.isoformat(),
            "endsAt": (begin + datetime.timedelta(hours=hours)).isoformat(),
            "createdBy": by,
            "comment": comment,
        }
        return str(self.ask("POST", "/api/v2/silences", json=body)["silenceID"])

    def expire(self, silence: str) -> None:
        """End a silence now."""
        self.ask("DELETE", f"/api/v2/silence/{silence}")


def connect_alertmanager(url: str, **credentials: Any) -> Alertmanager:
    """An Alertmanager. Make it in a cell tagged ``setup``. ``credentials`` as for :class:`Server`.

    Raises:
        OperatorError: HF219 a reference leads nowhere.
    """
    return Alertmanager(url, **credentials)

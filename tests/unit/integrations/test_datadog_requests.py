"""What Datadog's requests are taken for, over all that its client can ask."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import datadog_api_client
import pytest

from holdfast.durable.dialect import Answer, Question, answer_of
from holdfast.durable.interceptor import Attempt
from holdfast.durable.interceptors.http import Sent
from holdfast.foundation import clock
from holdfast.integrations.datadog.calls import INDEXED, DatadogDialect
from holdfast.model.call import Effect

HOST = "https://api.datadoghq.com"
_ENDPOINT = re.compile(r'"endpoint_path": "([^"]+)",\s*"operation_id": "([^"]+)",\s*"http_method": "(\w+)"')
#: Operations whose name says that they only ask; and those that have such a name and do something.
_READING = re.compile(
    r"(search|list|query|aggregate|validate|fetch|preview|test_(existing_)?security|batch_get|bulk_export|convert_\w+_from)_\w+"
)
_CHANGING = re.compile(
    r"(create|update|delete|upsert|add|remove|mute|unmute|cancel|trigger|submit|send|import|run|start|stop|enable|disable)_\w+"
)
_STANDS_APART = {"validate_security_monitoring_integration_credentials"}


def endpoints() -> list[tuple[str, str, str]]:
    """All (method, path, operation) of the installed client."""
    folder = Path(datadog_api_client.__file__).parent
    found = [_ENDPOINT.findall(file.read_text()) for file in sorted(folder.glob("v?/api/*_api.py"))]
    return [(method, re.sub(r"{\w+}", "7", path), operation) for some in found for path, operation, method in some]


def understood(method: str, path: str, body: Any = None) -> Any:
    sent = Sent(method, HOST + path, [], None if body is None else json.dumps(body).encode())
    return DatadogDialect().understand(sent)


def test_what_only_asks_is_a_read_and_nothing_else_is() -> None:
    known = endpoints()
    assert len(known) > 500
    reads = {(method, op) for method, path, op in known if understood(method, path).effect == Effect.READ}
    missed = [op for method, _, op in known if method == "POST" and _READING.fullmatch(op) and ("POST", op) not in reads]
    assert missed == [], "asked again without harm, and yet taken for changes"
    assert [op for method, op in reads if method != "GET" and _CHANGING.fullmatch(op)] == [], "changes that are taken for reads"


def test_deletions_are_destructive_and_the_end_of_a_downtime_is_not() -> None:
    for method, path, operation in endpoints():
        destroys = understood(method, path).destructive
        if method == "DELETE":
            assert destroys == ("downtime" not in path or "synthetics" in path), operation
        elif operation.startswith("delete_") and method == "POST":
            assert destroys, operation


@pytest.mark.parametrize(
    "path", ["/api/v2/api_keys", "/api/v1/api_key/7", "/api/v2/current_user/application_keys", "/api/v2/personal_access_tokens"]
)
def test_what_hands_out_keys_is_not_recorded(path: str) -> None:
    assert not understood("POST", path).recorded


@pytest.mark.parametrize(
    ("path", "body", "effect", "target"),
    [
        ("/api/v2/downtime", {"data": {"attributes": {"monitor_identifier": {"monitor_id": 7}}}}, Effect.WRITE, "monitor/7"),
        ("/api/v2/downtime", {"data": {"attributes": {"scope": "env:prod"}}}, Effect.WRITE, "downtime/env:prod"),
        ("/api/v1/downtime", {"scope": ["env:prod", "service:web"]}, Effect.WRITE, "downtime/env:prod,service:web"),
        ("/api/v2/series", {"series": [{"type": 3, "points": [{"timestamp": 1, "value": 2}]}]}, Effect.IDEMPOTENT, "series"),
        ("/api/v2/series", {"series": [{"type": 1, "points": [{"timestamp": 1, "value": 2}]}]}, Effect.WRITE, "series"),
        ("/api/v2/events", {"data": {"attributes": {"category": "alert"}}}, Effect.IDEMPOTENT, "events"),
        ("/api/v2/events", {"data": {"attributes": {"category": "change"}}}, Effect.WRITE, "events"),
        ("/api/v2/on-call/pages/7/acknowledge", None, Effect.IDEMPOTENT, "on-call/pages/7/acknowledge"),
    ],
)
def test_what_a_post_does_and_to_what(path: str, body: Any, effect: Effect, target: str) -> None:
    asked = understood("POST", path, body)
    assert (asked.effect, asked.target) == (effect, f"datadog://api.datadoghq.com/{target}")


def test_an_index_proves_something_after_a_while() -> None:
    sent = Sent("POST", f"{HOST}/api/v1/events", [], b'{"title": "t", "text": "x"}')
    dialect = DatadogDialect()
    asked = dialect.understand(sent)
    assert asked is not None

    def empty(method: str, path: str, document: Any) -> Answer:
        return answer_of({"events": []})

    def probed(ago: float) -> Any:
        attempt = Attempt(execution="e", step="s", call="c", number=1, idempotency_key="k", begun=clock.now() - ago)
        return dialect.probe(Question(sent=sent, asked=asked), attempt, empty)

    assert (probed(INDEXED - 60), probed(INDEXED + 60)) == (None, False)


def test_a_refusal_for_the_rate_is_waited_out_as_long_as_datadog_says() -> None:
    sent = Sent("GET", f"{HOST}/api/v1/monitor", [], None)
    asked = DatadogDialect().understand(sent)
    assert asked is not None
    headers = [["X-RateLimit-Reset", "41"], ["X-RateLimit-Name", "monitors"]]
    found = DatadogDialect().transient(Question(sent=sent, asked=asked), {"status": 429, "headers": headers, "body": b""})
    assert found is not None
    assert (found.retry_after, found.reason) == (41.0, "429 Too Many Requests (monitors)")

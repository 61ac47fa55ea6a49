"""The source contract on every source that comes with Holdfast, in the forms that vendors document or that were recorded."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest

from holdfast.errors import RequestError
from holdfast.events.source import Trust
from holdfast.events.sources import SOURCES
from holdfast.testing.contracts.source import Example, SignedSourceContract, SourceContract

# as Alertmanager 0.25 sent it
ALERTMANAGER = json.dumps(
    {
        "receiver": "hook",
        "status": "firing",
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": "AppDown", "instance": f"127.0.0.1:1999{n}", "job": "app", "severity": "page"},
                "annotations": {"runbook_url": "http://127.0.0.1:8000/runbooks/app-down", "summary": "down"},
                "startsAt": "2026-11-21T04:10:22.119Z",
                "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-11-21T05:00:00Z",
                "generatorURL": "http://vm:19090/graph",
                "fingerprint": f"25b8bf0e5955433{n}",
            }
            for n, status in enumerate(("firing", "resolved"))
        ],
        "groupLabels": {"alertname": "AppDown"},
        "commonLabels": {"alertname": "AppDown"},
        "commonAnnotations": {},
        "externalURL": "http://vm:19093",
        "version": "4",
        "groupKey": '{}:{alertname="AppDown"}',
        "truncatedAlerts": 0,
    }
).encode()

# as PagerDuty's page on v3 webhooks shows it
PAGERDUTY = json.dumps(
    {
        "event": {
            "id": "01DBVAE8T0A2NVN1ZE6KJW6ZQG",
            "event_type": "incident.triggered",
            "resource_type": "incident",
            "occurred_at": "2026-11-21T12:00:00.000Z",
            "agent": {"id": "PLH1HKV", "type": "user_reference", "summary": "Tenex Engineer"},
            "client": None,
            "data": {
                "id": "PGR0VU2",
                "type": "incident",
                "number": 2,
                "status": "triggered",
                "title": "A little bump in the road",
                "service": {"id": "PF9KMXH", "summary": "API Service", "type": "service_reference"},
                "urgency": "high",
            },
        }
    }
).encode()

DATADOG = json.dumps(
    {
        "id": "2417123456",
        "transition": "Triggered",
        "alert_id": "123",
        "aggregate": "9bd4ac313a4d1e8fae2482df7b77628",
        "title": "CPU high",
        "tags": "env:prod,host:a,team:sre,team:db,standalone",
        "date": "1763726400000",
    }
).encode()

EVENT = json.dumps({"specversion": "1.0", "id": "a", "source": "/s", "type": "t", "data": {"a": 1}}).encode()


def sign(secret: bytes, message: bytes, how: str = "sha256") -> str:
    return hmac.new(secret, message, getattr(hashlib, how)).hexdigest()


def bearer(body: bytes, trust: Trust, now: float) -> Mapping[str, str]:
    return {"authorization": f"Bearer {trust.tokens[0].decode()}"}


class TestAlertmanager(SourceContract):
    @pytest.fixture
    def example(self) -> Example:
        return Example(source=SOURCES["alertmanager"], body=ALERTMANAGER, trust=Trust(tokens=(b"t0ken",)), prove=bearer)

    def test_one_event_per_alert(self, example: Example) -> None:
        firing, resolved = example.source.read("am", {}, example.body, example.trust)
        assert (firing.type, resolved.type) == ("io.prometheus.alert.firing", "io.prometheus.alert.resolved")
        assert (firing.subject, firing.source) == ("25b8bf0e59554330", "/sources/am")
        assert firing.data["labels"]["job"] == "app"
        assert firing.data["group"]["groupKey"] == '{}:{alertname="AppDown"}'
        assert (firing.time, resolved.time) == ("2026-11-21T04:10:22.119Z", "2026-11-21T05:00:00Z")

    def test_the_same_alert_in_another_group_or_repeated_is_the_same_event(self, example: Example) -> None:
        again = json.loads(example.body) | {"groupKey": "other", "receiver": "other"}
        ids = [e.id for e in example.source.read("am", {}, json.dumps(again).encode(), example.trust)]
        assert ids == [e.id for e in example.source.read("am", {}, example.body, example.trust)]

    def test_basic_authentication_will_do(self, example: Example) -> None:
        password = base64.b64encode(b"alertmanager:t0ken").decode()
        example.source.verify({"authorization": f"Basic {password}"}, example.body, example.trust, 0)

    def test_other_things_are_not_understood(self, example: Example) -> None:
        bodies: list[Any] = [{}, {"alerts": {}}, {"alerts": [{}]}, {"alerts": [{"labels": {}, "status": "odd"}]}, []]
        for body in bodies:
            with pytest.raises(RequestError, match="HF722"):
                example.source.read("am", {}, json.dumps(body).encode(), example.trust)


class TestPagerDuty(SignedSourceContract):
    @pytest.fixture
    def example(self) -> Example:
        def prove(body: bytes, trust: Trust, now: float) -> Mapping[str, str]:
            return {"x-pagerduty-signature": f"v1={sign(b'stale', body)},v1={sign(trust.secrets[0], body)}"}

        # a window in which the recorded moment is still recent
        return Example(source=SOURCES["pagerduty"], body=PAGERDUTY, trust=Trust(secrets=(b"s3cret",), window=1e9), prove=prove)

    def test_the_event(self, example: Example) -> None:
        (event,) = example.source.read("pd", {}, example.body, example.trust)
        assert (event.id, event.type, event.subject) == ("01DBVAE8T0A2NVN1ZE6KJW6ZQG", "com.pagerduty.incident.triggered", "PGR0VU2")
        assert event.data["service"]["id"] == "PF9KMXH"

    def test_what_occurred_long_ago_is_refused(self, example: Example) -> None:
        trust = Trust(secrets=example.trust.secrets)
        at = 1_795_262_400.0  # 2026-11-21T12:00Z
        headers = example.prove(example.body, trust, 0)
        example.source.verify(headers, example.body, trust, at + 3600)
        with pytest.raises(RequestError, match="HF721"):
            example.source.verify(headers, example.body, trust, at + 2 * 86400)

    def test_only_version_1_signatures_count(self, example: Example) -> None:
        for value in (sign(b"s3cret", example.body), f"v2={sign(b's3cret', example.body)}"):
            with pytest.raises(RequestError, match="HF720"):
                example.source.verify({"x-pagerduty-signature": value}, example.body, example.trust, 0)


class TestDatadog(SourceContract):
    @pytest.fixture
    def example(self) -> Example:
        return Example(source=SOURCES["datadog"], body=DATADOG, trust=Trust(tokens=(b"t0ken",)), prove=bearer)

    def test_the_event(self, example: Example) -> None:
        (event,) = example.source.read("dd", {}, example.body, example.trust)
        assert (event.type, event.subject) == ("com.datadoghq.monitor.triggered", "9bd4ac313a4d1e8fae2482df7b77628")
        assert event.data["tags"] == {"env": "prod", "host": "a", "team": ["sre", "db"], "standalone": True}
        assert event.time == "2025-11-21T12:00:00Z"

    @pytest.mark.parametrize(
        ("said", "kind"), [("Recovered", "recovered"), ("Re-Triggered", "retriggered"), ("No Data", "nodata"), ("Warn", "warned")]
    )
    def test_transitions(self, example: Example, said: str, kind: str) -> None:
        body = json.dumps({"id": 5, "transition": said, "alert_id": 7}).encode()
        (event,) = example.source.read("dd", {}, body, example.trust)
        assert (event.type, event.subject) == (f"com.datadoghq.monitor.{kind}", "7")


class TestCloudEvents(SignedSourceContract):
    @pytest.fixture
    def example(self) -> Example:
        def prove(body: bytes, trust: Trust, now: float) -> Mapping[str, str]:
            signature = sign(trust.secrets[0], body)
            return {"x-holdfast-signature": f"sha256={signature}", "content-type": "application/cloudevents+json"}

        return Example(source=SOURCES["cloudevents"], body=EVENT, trust=Trust(secrets=(b"s3cret",)), prove=prove)


class TestWebhook(SignedSourceContract):
    """As GitHub signs; and with a time, as Slack and Stripe do in their ways."""

    @pytest.fixture
    def example(self) -> Example:
        def prove(body: bytes, trust: Trust, now: float) -> Mapping[str, str]:
            return {"x-hub-signature-256": f"sha256={sign(trust.secrets[0], body)}", "x-github-delivery": "72d3162e"}

        trust = Trust(
            secrets=(b"It's a Secret to Everybody",),
            header="X-Hub-Signature-256",
            prefix="sha256=",
            event_type="com.github.push",
            event_subject="data.repository.name",
        )
        return Example(source=SOURCES["webhook"], body=b'{"action": "opened", "repository": {"name": "a"}}', trust=trust, prove=prove)

    def test_the_vector_that_github_documents(self, example: Example) -> None:
        headers = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
        example.source.verify(headers, b"Hello, World!", example.trust, 0)

    def test_the_event(self, example: Example) -> None:
        (event,) = example.source.read("gh", {"x-github-delivery": "72d3162e"}, example.body, example.trust)
        assert (event.id, event.type, event.subject, event.source) == ("72d3162e", "com.github.push", "a", "/sources/gh")
        trust = Trust(event_type="data.action", event_id="data.repository.name")
        (event,) = example.source.read("gh", {}, example.body, trust)
        assert (event.id, event.type) == ("a", "opened")
        (event,) = example.source.read("gh", {}, b'"just text"', Trust())
        assert event.type == "webhook.gh"
        assert len(event.id) == 32

    def test_a_signed_time_must_be_recent(self, example: Example) -> None:
        trust = Trust(secrets=(b"k",), header="x-sig", timestamp_header="X-Time")
        headers = {"x-time": "1000", "x-sig": sign(b"k", b"1000." + example.body)}
        example.source.verify(headers, example.body, trust, 1299)
        for now in (1301, 699):
            with pytest.raises(RequestError, match="HF721"):
                example.source.verify(headers, example.body, trust, now)
        for other in ({**headers, "x-time": "1200"}, {"x-sig": headers["x-sig"]}, {**headers, "x-time": "nan"}):
            with pytest.raises(RequestError, match="HF720"):
                example.source.verify(other, example.body, trust, 1200)

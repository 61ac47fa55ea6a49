"""Requests at the edge of what CloudEvents and vendors' webhooks allow: taken as the specification says or refused, never a fault of
ours; and what of them may not be kept."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.errors import RequestError
from holdfast.events.inbox import Accepted, list_events, receive
from holdfast.events.settings import EventsFile, SourceSettings
from holdfast.events.signatures import hmac_hex
from holdfast.events.source import Trust
from holdfast.events.sources import SOURCES
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store

ONE = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
ALERT = {"status": "firing", "labels": {"alertname": "a"}, "startsAt": "2026-01-01T00:00:00Z"}
Take = Callable[..., list[Accepted]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/journal.db", key_file=tmp_path / "key")
    yield opened
    opened.close()


@pytest.fixture
def take(store: Store) -> Take:
    sources = {kind: SourceSettings(name=kind, source=source) for kind, source in SOURCES.items()}
    sources["ids"] = SourceSettings(name="ids", source=SOURCES["webhook"], keep=("Signature",))
    sources["pagerduty"] = msgspec.structs.replace(sources["pagerduty"], trust=Trust(secrets=(b"new", b"old")))

    def take(source: str, body: Any, headers: dict[str, str] | None = None) -> list[Accepted]:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return receive(store, source, headers or STRUCTURED, sent, events=EventsFile(sources=sources), known="somebody")

    return take


@pytest.mark.parametrize(
    "event",
    [
        {k: v for k, v in ONE.items() if k != "specversion"}, {**ONE, "specversion": "0.3"}, {**ONE, "specversion": 1.0},
        {k: v for k, v in ONE.items() if k != "id"}, {**ONE, "id": " "}, {**ONE, "id": 7}, {**ONE, "source": "a\nb"},
        {**ONE, "data_base64": 5}, {**ONE, "data_base64": "_-8="}, {**ONE, "data": 1, "data_base64": "AA=="}, {**ONE, "trace_parent": "x"},
        {**ONE, "Traceparent": "x"}, {**ONE, "f": 1.5}, {**ONE, "x": ["a"]}, {**ONE, "time": "yesterday"}, {**ONE, "subject": ""},
        {**ONE, "id": "x" * 1001}, {**ONE, "type": "x" * 1001}, {**ONE, "subject": "x" * 1001}, [ONE], "text", 5, None,
    ],
)  # fmt: skip
def test_what_is_no_cloudevent_is_refused_and_nothing_of_its_batch_kept(take: Take, store: Store, event: Any) -> None:
    with pytest.raises(RequestError, match="HF722"):
        take("cloudevents", event)
    with pytest.raises(RequestError, match="HF722"):
        take("cloudevents", [ONE, event], BATCH)
    assert list_events(store) == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff\xfe\xff", json.dumps({**ONE, "data": "\u00e9"}, ensure_ascii=False).encode("latin-1"), b'{"a": NaN}',
        b"[" * 100_000,
        json.dumps(ONE)[:-1].encode() + b', "data": ' + b"[" * 101 + b"]" * 101 + b"}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", ["cloudevents", "alertmanager", "datadog", "webhook"])
def test_what_is_no_json_is_refused(take: Take, body: bytes, source: str) -> None:
    with pytest.raises(RequestError, match="HF722"):
        take(source, body)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b"1" + b"0" * 40, "1" + "0" * 40), (b"18446744073709551615", 2**64 - 1), (b"18446744073709551616", "18446744073709551616"),
        (b"-9223372036854775809", "-9223372036854775809"), (b"1" * 5000, "1" * 5000),
        (b"1e999", "1e999"), (b"-1e999", "-1e999"), (b"0.5", 0.5),
        (b'"\\ud83d\\ude00"', "\U0001f600"), (b'"a\\ud800"', "a\ufffd\ufffd\ufffd"), (b'"\\u0000"', "\0"),
        (b'{"\\udc00": 1}', {"\ufffd\ufffd\ufffd": 1}),
        (b"null", None), (b"[true, false]", [True, False]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", ["cloudevents", "webhook"])
def test_what_the_journal_cannot_hold_as_it_is_is_kept_as_near_as_can_be(
    take: Take, store: Store, text: bytes, kept: Any, source: str
) -> None:
    take(source, json.dumps(ONE)[:-1].encode() + b', "data": ' + text + b"}")
    [found] = list_events(store)
    assert (found.event.data if source == "cloudevents" else found.event.data["data"]) == kept
    json.dumps(found.event.data, allow_nan=False)


def test_the_three_modes_give_the_same_event(take: Take, store: Store) -> None:
    extensions = {"traceparent": "00-1", "level": 3, "urgent": True}
    body = b'{"a": [1, "\xc3\xa9"]}'
    structured = {**ONE, **extensions, "subject": "x", "datacontenttype": "application/json", "data": json.loads(body)}
    take("cloudevents", {**structured, "id": "s", "futureattribute": None}, {"Content-Type": "application/cloudevents+json; charset=UTF-8"})
    take("cloudevents", [{**structured, "id": "b"}, {**structured, "id": "b"}], BATCH)
    headers = {f"CE-{n}": str(v).lower() if v is True else str(v) for n, v in {**ONE, **extensions, "subject": "x", "id": "h"}.items()}
    take("cloudevents", body, {**headers, "Content-Type": "application/json"})
    assert take("cloudevents", body, {**headers, "Content-Type": "application/json"})[0].new is False
    found = {e.event.id: e.event for e in list_events(store)}
    assert set(found) == {"s", "b", "h"}
    assert found["s"].data == found["b"].data == found["h"].data
    assert found["s"].extensions == extensions
    assert found["h"].extensions == {"traceparent": "00-1", "level": "3", "urgent": "true"}  # headers are texts
    take("cloudevents", {**ONE, "id": "raw", "data_base64": base64.b64encode(b"\0\xff").decode()})
    take("cloudevents", b"\xff\0", {**{f"ce-{n}": v for n, v in ONE.items()}, "ce-id": "raw2", "content-type": "image/png"})
    assert {e.event.id: e.event.data for e in list_events(store) if e.event.id.startswith("raw")} == {"raw": b"\0\xff", "raw2": b"\xff\0"}
    with pytest.raises(RequestError, match="HF722"):
        take("cloudevents", b"<a/>", {"content-type": "application/cloudevents+xml"})


def test_a_huge_batch_is_one_commit_and_taken_once(take: Take, store: Store) -> None:
    batch = [{**ONE, "id": f"{n}"} for n in range(5000)]
    assert all(a.new for a in take("cloudevents", batch, BATCH))
    assert not any(a.new for a in take("cloudevents", batch, BATCH))
    assert take("cloudevents", [{**ONE, "id": "1", "source": "/other"}], BATCH)[0].new
    assert len(list_events(store, limit=None)) == 5001


def test_alertmanager_groups(take: Take, store: Store) -> None:
    alerts = [{**ALERT, "labels": {"alertname": f"a{n}"}} for n in range(500)]
    group = {"receiver": "r", "groupKey": "g", "commonLabels": {}, "truncatedAlerts": 0, "alerts": alerts}
    assert len({a.event.id for a in take("alertmanager", group)}) == 500
    gone = [{**a, "status": "resolved", "endsAt": "2026-01-01T01:00:00Z"} for a in alerts[:2]]
    assert [a.new for a in take("alertmanager", {**group, "alerts": [*alerts[:2], *gone, gone[0]]})] == [False, False, True, True, False]
    assert take("alertmanager", {"alerts": []}) == []
    odd = take("alertmanager", {"alerts": [{**ALERT, "startsAt": {"not": "a time"}, "annotations": None}]})[0].event
    assert (odd.time, odd.data["annotations"]) == (None, {})
    wrong: Any
    for wrong in ({"alerts": [{**ALERT, "status": "pending"}]}, {"alerts": [{"status": "firing"}]}, {"alerts": {}}, []):
        with pytest.raises(RequestError, match="HF722"):
            take("alertmanager", wrong)


def test_pagerduty_signatures_while_a_secret_is_replaced(take: Take) -> None:
    now = dt.datetime.now(dt.UTC).isoformat()

    def send(signature: str, **event: Any) -> bool:
        body = json.dumps({"event": {"id": "p1", "event_type": "incident.triggered", "occurred_at": now, "data": {}, **event}}).encode()
        signs = {"new": hmac_hex(b"new", body), "old": hmac_hex(b"old", body), "other": hmac_hex(b"other", body)}
        return take("pagerduty", body, {"X-PagerDuty-Signature": signature.format(**signs)})[0].new

    assert send("v1={new}")
    assert [send(s) for s in ("v1={old}", "v1={other},v1={new}", " v1={old} , v1=zz", "v0={other},v1={old}")] == [False] * 4
    for wrong in ("v1={other}", "v2={new}", "{new}", "v1={new}x", "v1=", "", "v1={other},v2={new}", "V1={new}"):
        with pytest.raises(RequestError, match="HF720"):
            send(wrong)
    assert send("v1={new}", id="p2", data={"type": "x", "incident": "a text"})
    assert send("v1={new}", id="p3", data=None, occurred_at=5)
    with pytest.raises(RequestError, match="HF721"):
        send("v1={new}", id="p4", occurred_at="2020-01-01T00:00:00Z")


def test_datadog_payloads(take: Take) -> None:
    [taken] = take(
        "datadog", {"id": "1", "transition": " Re-Triggered ", "tags": "env:prod,team:a,team:b,solo,,x:", "date": "1767225600000"}
    )
    event = taken.event
    assert (event.id, event.type, event.time) == ("1/retriggered", "com.datadoghq.monitor.retriggered", "2026-01-01T00:00:00Z")
    assert event.data["tags"] == {"env": "prod", "team": ["a", "b"], "solo": True, "x": ""}
    assert take("datadog", {"id": "2", "transition": "No Data", "date": 1e300})[0].event.time is None
    for wrong in ({"transition": "Triggered"}, {"id": "3"}, {"id": "3", "transition": 5}):
        with pytest.raises(RequestError, match="HF722"):
            take("datadog", wrong)


SECRET = "hunter2-Zq9"


def test_credentials_in_an_event_are_masked_before_it_is_kept(take: Take, store: Store, tmp_path: Path) -> None:
    hidden = {
        "headers": {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET, "Accept": "*/*"},
        "pairs": [["Cookie", SECRET], ["Host", "web"]],
        "db_password": SECRET,
        "nested": [{"apiToken": SECRET, "client_secret": {"value": SECRET}}],
        "url": f"https://admin:{SECRET}@web/?token={SECRET}&page=2",
        "text": f"curl -H 'Authorization: Bearer {SECRET}' --password {SECRET}",
        "host": "web-1",
    }
    [plain] = take("cloudevents", {**ONE, "data": hidden, "accesstoken": SECRET})
    take("webhook", hidden)
    take("alertmanager", {"alerts": [{**ALERT, "annotations": {"runbook_url": f"https://x/?token={SECRET}"}}]})
    take(
        "cloudevents",
        {**ONE, "id": "raw", "data_base64": base64.b64encode(f'{{"a": "https://u:{SECRET}@h"}} \xff'.encode("latin-1")).decode()},
    )
    assert plain.event.data["headers"] == {"Authorization": "***", "X-Api-Key": "***", "Accept": "*/*"}
    assert plain.event.data["url"] == "https://admin:***@web/?token=***&page=2"
    assert (plain.event.data["host"], plain.event.data["db_password"]) == ("web-1", "***")
    assert len(list_events(store)) == 4
    store.close()
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]


def test_a_source_may_say_that_a_field_is_no_secret(take: Take) -> None:
    [taken] = take("ids", {"alert": {"signature": "ET MALWARE beacon", "token": "x"}})
    assert taken.event.data == {"alert": {"signature": "ET MALWARE beacon", "token": "***"}}

"""CloudEvents 1.0: the rules of the specification, in every mode of its HTTP binding."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.errors import RequestError
from holdfast.events import cloudevents as ce
from holdfast.model.event import Event

LEAST = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def structured(value: Any) -> list[Event]:
    return ce.read_http({"Content-Type": "application/cloudevents+json; charset=utf-8"}, json.dumps(value).encode())


@pytest.mark.parametrize(
    "event",
    [
        Event(id="1", source="/s", type="t"),
        Event(id="ü €", source="urn:x", type="t", subject='a "b" 100%', time="2026-01-02T03:04:05.123456789Z", data={"a": [1, None]}),
        Event(id="1", source="/s", type="t", data=b"\x00\xff", datacontenttype="image/png", extensions={"traceparent": "00-x", "n": 3}),
        Event(id="1", source="/s", type="t", data="text", datacontenttype="text/plain", dataschema="http://x/y"),
        Event(id="1", source="/s", type="t", data=[1], datacontenttype="application/vnd.x+json", extensions={"on": True}),
    ],
)
def test_what_is_written_reads_back(event: Event) -> None:
    headers, body = ce.to_structured(event)
    assert ce.read_http(headers, body) == [event]
    batch = json.dumps([ce.to_json(event)] * 2).encode()
    assert ce.read_http({"content-type": "application/cloudevents-batch+json"}, batch) == [event, event]


def test_binary_mode() -> None:
    headers = {"CE-SpecVersion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-subject": "Euro%20%E2%82%AC", "ce-ext": "5"}
    (event,) = ce.read_http({**headers, "Content-Type": "application/json"}, b'{"a": 1}')
    assert event.subject == "Euro €"
    assert event.data == {"a": 1}
    assert event.extensions == {"ext": "5"}
    assert event.datacontenttype == "application/json"
    (without,) = ce.read_http(headers, b"")
    assert without.data is None
    (raw,) = ce.read_http({**headers, "content-type": "application/octet-stream"}, b"\x00")
    assert raw.data == b"\x00"
    written, body = ce.to_binary(event)
    assert written["ce-subject"] == "Euro %E2%82%AC"
    assert ce.read_http(written, body) == [event]


def test_base64_and_null() -> None:
    (event,) = structured({**LEAST, "data_base64": "AP8=", "subject": None})
    assert event.data == b"\x00\xff"
    assert event.subject is None


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({**LEAST, "specversion": "0.3"}, "specversion"),
        ({k: v for k, v in LEAST.items() if k != "id"}, "id"),
        ({**LEAST, "source": ""}, "source"),
        ({**LEAST, "type": 5}, "type"),
        ({**LEAST, "Bad": "x"}, "Bad"),
        ({**LEAST, "with_underscore": "x"}, "with_underscore"),
        ({**LEAST, "ext": {"a": 1}}, "ext"),
        ({**LEAST, "ext": 1.5}, "ext"),
        ({**LEAST, "time": "yesterday"}, "time"),
        ({**LEAST, "time": "2026-13-01T00:00:00Z"}, "time"),
        ({**LEAST, "subject": ""}, "subject"),
        ({**LEAST, "subject": "a\x00b"}, "subject"),
        ({**LEAST, "data": 1, "data_base64": "AA=="}, "data_base64"),
        ({**LEAST, "data_base64": "not base64!"}, "base64"),
        ([LEAST], "object"),
        ("text", "object"),
    ],
)
def test_what_breaks_the_rules_is_refused(value: Any, word: str) -> None:
    with pytest.raises(RequestError) as caught:
        structured(value)
    assert caught.value.code == "HF722"
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        ({"content-type": "application/json"}, b"{}"),
        ({"content-type": "application/cloudevents+json"}, b"{"),
        ({"content-type": "application/cloudevents+json"}, b'{"specversion": NaN}'),
        ({"content-type": "application/cloudevents+avro"}, b""),
        ({"content-type": "application/cloudevents-batch+json"}, b"{}"),
        ({"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s"}, b""),
        ({"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "content-type": "application/json"}, b"{"),
        ({"content-type": "application/cloudevents+json"}, b"[" * 100_000),
    ],
)
def test_what_is_no_event_is_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        ce.read_http(headers, body)
    assert caught.value.code == "HF722"


def test_an_empty_batch_is_a_batch() -> None:
    assert ce.read_http({"content-type": "application/cloudevents-batch+json"}, b"[]") == []

"""CloudEvents 1.0 as bytes: the JSON format, and the HTTP binding in its structured, binary and batched mode."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, unquote

from holdfast.errors import RequestError
from holdfast.events.reading import read_json
from holdfast.model.event import Event

SPEC: Final = "1.0"
JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_NAMED: Final = ("id", "source", "type", "subject", "time", "datacontenttype", "dataschema")
_LONGEST: Final = 1000  # characters of an attribute that the inbox finds events by
_REQUIRED: Final = ("id", "source", "type")
_NAME: Final = re.compile(r"[a-z0-9]+")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_PLAIN: Final = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%') + " "  # what a header value may hold as it is


def misunderstood(what: str, **where: Any) -> RequestError:
    """HF722."""
    return RequestError("HF722", what, cure="Send a CloudEvent 1.0, or name the source that the request comes from.", **where)


def json_of(body: bytes) -> Any:
    """A JSON body's value. Raises ``RequestError`` HF722."""
    try:
        return read_json(body)
    except ValueError as error:
        why = ": it is nested too deeply" if "deep" in str(error) else ""
        raise misunderstood(f"the body is not JSON{why}") from None


def read_http(headers: Mapping[str, str], body: bytes) -> list[Event]:
    """The events of an HTTP request, whichever mode it is in.

    Args:
        headers: names in any case.

    Raises:
        RequestError: HF722, it holds none, or one that breaks the rules.
    """
    found = {name.lower(): value for name, value in headers.items()}
    media = found.get("content-type", "").partition(";")[0].strip().lower()
    if media == BATCH:
        batch = json_of(body)
        if not isinstance(batch, list):
            raise misunderstood("a batch must be a JSON array")
        return [from_json(one, place=f"[{n}]") for n, one in enumerate(batch)]
    if media == STRUCTURED:
        return [from_json(json_of(body))]
    if media.startswith("application/cloudevents"):
        raise misunderstood(f"events as {media} are not taken")
    if "ce-specversion" in found:
        return [_binary(found, body, media)]
    raise misunderstood(f"no CloudEvent: neither a ce-specversion header nor a content type of {STRUCTURED}")


def from_json(value: Any, *, place: str | None = None) -> Event:
    """An event from its JSON format, decoded.

    Raises:
        RequestError: HF722.
    """
    if not isinstance(value, dict):
        raise misunderstood("an event must be a JSON object", event=place)
    if "data" in value and "data_base64" in value:
        raise misunderstood("both data and data_base64", event=place)
    data = value.get("data")
    if "data_base64" in value:
        try:
            data = base64.b64decode(value["data_base64"], validate=True)
        except (TypeError, ValueError):
            raise misunderstood("data_base64 is not base64", event=place) from None
    return _event({k: v for k, v in value.items() if k not in ("data", "data_base64")}, data, place)


def to_json(event: Event) -> dict[str, Any]:
    """The event in the JSON format, ready for ``json.dumps``."""
    written = event.attributes
    if isinstance(event.data, bytes):
        return {**written, "data_base64": base64.b64encode(event.data).decode()}
    return written if event.data is None else {**written, "data": event.data}


def to_structured(event: Event) -> tuple[dict[str, str], bytes]:
    """Headers and body of a structured request."""
    return {"content-type": f"{STRUCTURED}; charset=utf-8"}, json.dumps(to_json(event), ensure_ascii=False).encode()


def to_binary(event: Event) -> tuple[dict[str, str], bytes]:
    """Headers and body of a binary request."""
    attributes = event.attributes
    media = attributes.pop("datacontenttype", None)
    headers = {f"ce-{name}": quote(_text(value), safe=_PLAIN) for name, value in attributes.items()}
    if event.data is None:
        return headers, b""
    headers["content-type"] = media or ("application/octet-stream" if isinstance(event.data, bytes) else JSON)
    return headers, event.data if isinstance(event.data, bytes) else json.dumps(event.data, ensure_ascii=False).encode()


def _binary(headers: Mapping[str, str], body: bytes, media: str) -> Event:
    attributes: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith("ce-") and name != "ce-datacontenttype":
            attributes[name.removeprefix("ce-")] = unquote(value.strip('"')) if "%" in value or value[:1] == '"' else value
    data: Any = None
    if body or media:
        attributes["datacontenttype"] = headers.get("content-type") or None
        if attributes["datacontenttype"] is None:
            del attributes["datacontenttype"]
        data = _payload(body, media)
    return _event(attributes, data, None)


def _payload(body: bytes, media: str) -> Any:
    if media == JSON or media.endswith("+json"):
        return json_of(body) if body else None
    if media.startswith("text/"):
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body
    return body or None


def _event(attributes: dict[str, Any], data: Any, place: str | None) -> Event:
    attributes = {k: v for k, v in attributes.items() if v is not None}
    if attributes.pop("specversion", None) != SPEC:
        raise misunderstood(f"specversion must be {SPEC}", event=place)
    for name in _REQUIRED:
        if not isinstance(attributes.get(name), str) or not attributes[name].strip():
            raise misunderstood(f"the attribute {name} is missing or empty", event=place)
        if len(attributes[name]) > _LONGEST:
            raise misunderstood(f"the attribute {name} is longer than {_LONGEST:,} characters", event=place)
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise misunderstood(f"{name!r} cannot be the name of an attribute: lower-case letters and digits only", event=place)
        if not isinstance(value, str | int | bool) or (name in _NAMED and not isinstance(value, str)):
            raise misunderstood(f"the attribute {name} must be a text", event=place)
        if isinstance(value, str) and any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in value):
            raise misunderstood(f"the attribute {name} holds control characters", event=place)
    if "subject" in attributes and not attributes["subject"]:
        raise misunderstood("the attribute subject is empty", event=place)
    if "time" in attributes and not _is_time(attributes["time"]):
        raise misunderstood("the attribute time is no RFC 3339 time", event=place)
    named = {name: attributes.pop(name) for name in _NAMED if name in attributes}
    return Event(**named, data=data, extensions=attributes)


def time_or_none(value: Any) -> str | None:
    """``value`` when it is an RFC 3339 time."""
    return value if isinstance(value, str) and _is_time(value) else None


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", r".\1", text.upper()))
    except ValueError:
        return text[17:19] == "60"  # a leap second
    return True


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)

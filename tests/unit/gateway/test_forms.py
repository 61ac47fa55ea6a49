"""Forms from schemas: what a browser sends becomes the value again, or says what is wrong where."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.gateway import forms

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "size"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "size": {"enum": [1, "large", None]},
        "count": {"type": ["integer", "null"], "minimum": 1},
        "ratio": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "ports": {"type": "array", "items": {"type": "integer"}},
        "zones": {"type": "array", "items": {"enum": ["a", "b"]}},
        "where": {"$ref": "#/$defs/place"},
        "rest": {},
        "pass": {"type": "string", "format": "password"},
    },
    "$defs": {"place": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}},
}


def _sent(**values: str | list[str]) -> dict[str, list[str]]:
    return {f"value.{n.replace('__', '.')}": v if isinstance(v, list) else [v] for n, v in values.items()}


def test_everything_filled_in() -> None:
    sent = _sent(
        name="x", size='"large"', count="3", ratio="0.5", sure="true", tags="a\r\n\r\nb", ports="80\n443", zones=['"a"', '"b"'],
        where__city="Bern", rest='{"k": [1]}', **{"pass": "geheim"},
    )  # fmt: skip
    assert forms.read(SCHEMA, sent) == (
        {
            "name": "x", "size": "large", "count": 3, "ratio": 0.5, "sure": True, "tags": ["a", "b"], "ports": [80, 443],
            "zones": ["a", "b"], "where": {"city": "Bern"}, "rest": {"k": [1]}, "pass": "geheim",
        },
        {},
    )  # fmt: skip


def test_what_is_left_out_is_left_out() -> None:
    value, errors = forms.read(SCHEMA, _sent(name="x", size="1"))
    assert errors == {}
    assert value == {"name": "x", "size": 1, "sure": False, "tags": [], "ports": [], "zones": []}


@pytest.mark.parametrize(
    ("given", "path", "says"),
    [
        ({"size": "1"}, "name", "needed"),
        ({"name": "x"}, "size", "needed"),
        ({"name": "x", "size": '"huge"'}, "size", "none of the choices"),
        ({"name": "x", "size": "1", "count": "many"}, "count", "whole number"),
        ({"name": "x", "size": "1", "count": "0"}, "count", "at least 1"),
        ({"name": "x", "size": "1", "ratio": "nan"}, "ratio", "not a number"),
        ({"name": "x", "size": "1", "ports": "80\nhttp"}, "ports", "whole number"),
        ({"name": "x", "size": "1", "rest": "{"}, "rest", "not JSON"),
        ({"name": "x", "size": "1", "where__city": ["Bern", "x"], "zones": ['"c"']}, "zones", "none of the choices"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(given: dict[str, Any], path: str, says: str) -> None:
    sent = _sent(**given)
    _, errors = forms.read(SCHEMA, sent)
    assert says in errors[path]
    marked = forms.marked(forms.fields(SCHEMA), errors, sent)
    assert says in next(f for f in marked if f.path == path).error


def test_secrets_are_not_sent_back() -> None:
    fields = forms.marked(forms.fields(SCHEMA), {}, _sent(**{"pass": "geheim"}))
    field = next(f for f in fields if f.path == "pass")
    assert (field.control, field.shown) == ("password", "")

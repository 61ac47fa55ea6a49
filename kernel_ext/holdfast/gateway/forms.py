"""Forms for pages from a JSON Schema, and back from what a browser sends to a value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.prompts.schemas import misfits
from holdfast.prompts.sealing import dereferenced, is_secret

PREFIX: Final = "value"
_DEEPEST: Final = 4
_INPUTS: Final = {"email": "email", "uri": "url", "date": "date", "time": "time", "password": "password"}
_LONG: Final = 120


class Field(msgspec.Struct, kw_only=True):
    """One input of a form; a group has fields inside."""

    name: str  # of the input: the path, joined by dots
    path: str  # as errors name it: joined by slashes
    label: str
    control: str  # text, number, checkbox, select, checkboxes, area, json, group, or an input type of HTML
    description: str = ""
    required: bool = False
    options: list[tuple[str, str]] = []  # value as JSON, label
    attributes: dict[str, str] = {}
    shown: str = ""  # what it holds
    chosen: list[str] = []  # of options, as JSON
    error: str = ""
    fields: list[Field] = []
    optional: bool = False  # may be left out altogether
    schema: dict[str, Any] = {}


def fields(schema: Mapping[str, Any], value: Any = None) -> list[Field]:
    """The fields of an object's schema, holding ``value`` or the defaults."""
    return _properties(schema, schema, (), value if isinstance(value, Mapping) else {}, 0)


def read(schema: Mapping[str, Any], sent: Mapping[str, Sequence[str]]) -> tuple[Any, dict[str, str]]:
    """The value that a browser sent, and what is wrong with it: path -> text.

    Args:
        schema: of the object.
        sent: the names of inputs and their values.
    """
    errors: dict[str, str] = {}
    value = _read(fields(schema), sent, errors)
    for path, what in misfits(schema, value):
        errors.setdefault(path, what)
    return value, errors


def marked(found: list[Field], errors: Mapping[str, str], sent: Mapping[str, Sequence[str]]) -> list[Field]:
    """The fields as they were filled in, each with what is wrong with it; secrets are not sent back."""
    for field in found:
        given = sent.get(field.name)
        field.error = errors.get(field.path, "")
        if field.control == "group":
            marked(field.fields, errors, sent)
        elif field.control in ("checkboxes", "select"):
            field.chosen = list(given or ())
        elif field.control == "checkbox":
            field.chosen = ["true"] if given else []
        elif field.control != "password":
            field.shown = given[0] if given else ""
        if not field.error and field.control in ("checkboxes", "area"):  # an item inside is wrong
            field.error = next((what for path, what in errors.items() if path.startswith(field.path + "/")), "")
    return found


# ---- schema -> fields


def _properties(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: tuple[str, ...], value: Mapping[str, Any], depth: int
) -> list[Field]:
    required = schema.get("required") or ()
    found = []
    for name, part in (schema.get("properties") or {}).items():
        resolved = dereferenced(part, root)
        inner = resolved if isinstance(resolved, Mapping) else {}
        held = value.get(name, inner.get("default"))
        found.append(_field(inner, root, (*path, str(name)), held, name in required, depth))
    return found


def _field(schema: Mapping[str, Any], root: Mapping[str, Any], path: tuple[str, ...], held: Any, required: bool, depth: int) -> Field:
    schema, nullable = _without_null(schema, root)
    field = Field(
        name=".".join((PREFIX, *path)), path="/".join(path), label=str(schema.get("title") or path[-1].replace("_", " ")), control="json",
        description=str(schema.get("description") or ""), required=required and not nullable, optional=nullable or not required,
        schema=dict(schema),
    )  # fmt: skip
    kind = schema.get("type")
    if is_secret(schema):
        field.control = "password"
    elif isinstance(schema.get("enum"), list) or "const" in schema:
        values = schema["enum"] if isinstance(schema.get("enum"), list) else [schema["const"]]
        field.control, field.options = "select", [(json.dumps(v), _said(v)) for v in values]
        field.chosen = [json.dumps(held)] if held in values else []
    elif kind == "object" and schema.get("properties") and depth < _DEEPEST:
        field.control = "group"
        field.fields = _properties(schema, root, path, held if isinstance(held, Mapping) else {}, depth + 1)
    elif kind == "array":
        _array(field, schema, root, held)
    elif kind == "boolean":
        field.control, field.chosen, field.required = "checkbox", ["true"] if held is True else [], False
    elif kind in ("string", "integer", "number"):
        _scalar(field, schema, str(kind), held)
    elif held is not None:
        field.shown = json.dumps(held, ensure_ascii=False)
    return field


def _scalar(field: Field, schema: Mapping[str, Any], kind: str, held: Any) -> None:
    if kind == "string":
        field.control = _INPUTS.get(str(schema.get("format")), "text")
        if field.control == "text" and (int(schema.get("maxLength") or 0) > _LONG or schema.get("format") == "textarea"):
            field.control = "area"
        pairs = {"minLength": "minlength", "maxLength": "maxlength", "pattern": "pattern"}
    else:
        field.control = "number"
        field.attributes["step"] = "1" if kind == "integer" else "any"
        field.attributes["inputmode"] = "numeric" if kind == "integer" else "decimal"
        pairs = {"minimum": "min", "maximum": "max"}
    for word, attribute in pairs.items():
        if isinstance(schema.get(word), int | float | str) and field.control != "area":
            field.attributes[attribute] = str(schema[word])
    field.shown = "" if held is None else str(held)


def _array(field: Field, schema: Mapping[str, Any], root: Mapping[str, Any], held: Any) -> None:
    items = dereferenced(schema.get("items") or {}, root)
    items = items if isinstance(items, Mapping) else {}
    listed = held if isinstance(held, list) else []
    if isinstance(items.get("enum"), list):
        field.control, field.options = "checkboxes", [(json.dumps(v), _said(v)) for v in items["enum"]]
        field.chosen = [json.dumps(v) for v in listed]
    elif items.get("type") in ("string", "integer", "number"):
        field.control, field.description = "area", (field.description + " One per line.").strip()
        field.shown = "\n".join(map(str, listed))
    elif held is not None:
        field.shown = json.dumps(held, ensure_ascii=False)


def _without_null(schema: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """``int | None`` is a number that may be left out."""
    kind = schema.get("type")
    if isinstance(kind, list):
        left = [k for k in kind if k != "null"]
        return {**schema, "type": left[0] if len(left) == 1 else None}, "null" in kind
    for word in ("anyOf", "oneOf"):
        branches = [dereferenced(b, root) for b in schema.get(word) or ()]
        left = [b for b in branches if isinstance(b, Mapping) and b.get("type") != "null"]
        if len(left) == 1 and len(left) < len(branches):
            rest = {k: v for k, v in schema.items() if k != word}
            return {**left[0], **rest}, True
    return schema, False


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# ---- what was sent -> value


_LEFT_OUT: Final = object()


def _read(found: list[Field], sent: Mapping[str, Sequence[str]], errors: dict[str, str]) -> dict[str, Any]:
    value = {}
    for field in found:
        if field.control == "group":
            touched = any(text for name, given in sent.items() if name.startswith(f"{field.name}.") for text in given)
            if touched or not field.optional:
                value[field.path.rpartition("/")[2]] = _read(field.fields, sent, errors)
            continue
        try:
            one = _one(field, list(sent.get(field.name, ())))
        except ValueError as error:
            errors[field.path] = str(error)
            continue
        if one is not _LEFT_OUT:
            value[field.path.rpartition("/")[2]] = one
    return value


def _one(field: Field, given: list[str]) -> Any:
    text = given[0] if given else ""
    match field.control:
        case "checkbox":
            return bool(given)
        case "checkboxes":
            return [_option(field, g) for g in given]
        case "select":
            return _option(field, text) if text else _LEFT_OUT
        case "number":
            return _number(field, text) if text.strip() else _LEFT_OUT
        case "area" if field.schema.get("type") == "array":
            kind = (field.schema.get("items") or {}).get("type")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return [line if kind == "string" else _plain_number(line, whole=kind == "integer") for line in lines]
        case "json":
            if not text.strip():
                return _LEFT_OUT
            try:
                return json.loads(text)
            except ValueError:
                raise ValueError("is not JSON") from None
        case _:
            normal = text.replace("\r\n", "\n")
            return normal if normal or not field.optional else _LEFT_OUT


def _option(field: Field, given: str) -> Any:
    if given not in [value for value, _ in field.options]:
        raise ValueError("is none of the choices")
    return json.loads(given)


def _number(field: Field, text: str) -> Any:
    return _plain_number(text.strip(), whole=field.schema.get("type") == "integer")


def _plain_number(text: str, *, whole: bool) -> Any:
    try:
        return int(text) if whole else _tidy(float(text))
    except ValueError:
        raise ValueError("is not a whole number" if whole else "is not a number") from None


def _tidy(number: float) -> float | int:
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError
    return int(number) if number.is_integer() and abs(number) < 2**53 else number

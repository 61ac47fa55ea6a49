"""A form's schema as a list of fields that can be typed into, for every channel that has no better way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from holdfast.prompts.sealing import dereferenced, is_secret

Shape = Literal["text", "lines", "secret", "choice", "flag", "whole", "number", "json"]

#: No value was given.
MISSING: Any = msgspec.UNSET
_LONG = 200
_SHAPES: dict[Any, Shape] = {"string": "text", "boolean": "flag", "integer": "whole", "number": "number"}
_FLAGS = {"yes": True, "y": True, "true": True, "on": True, "1": True, "no": False, "n": False, "false": False, "off": False, "0": False}


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field."""

    name: str
    title: str
    shape: Shape
    needed: bool = False  # a value must be given
    default: Any = MISSING
    options: tuple[Any, ...] = ()
    hint: str = ""  # what it is for, what fits


def fields(schema: Mapping[str, Any]) -> list[Field]:
    """The fields of an object's schema, in its order."""
    found = dereferenced(schema, schema) or {}
    needed = set(found.get("required") or ())
    return [_field(name, part, name in needed, schema) for name, part in (found.get("properties") or {}).items()]


def _field(name: str, part: Any, needed: bool, root: Any) -> Field:
    outer = part if isinstance(part, Mapping) else {}
    secret = is_secret(outer)
    inner = dereferenced(outer, root) or {}
    for word in ("anyOf", "oneOf", "allOf"):  # an optional value, or one with a default beside its $ref
        branches = [dereferenced(b, root) or {} for b in inner.get(word) or ()]
        secret = secret or any(is_secret(b) for b in branches)
        real = [b for b in branches if b.get("type") != "null"]
        if len(real) == 1:
            inner = {**real[0], **{k: v for k, v in inner.items() if k != word}}
    secret = secret or is_secret(inner)
    options = tuple(inner["enum"]) if isinstance(inner.get("enum"), list) else (inner["const"],) if "const" in inner else ()
    kind = inner.get("type")
    kind = next((k for k in kind if k != "null"), None) if isinstance(kind, list) else kind
    shape: Shape = "choice" if options else _SHAPES.get(kind, "json")
    if shape == "text" and (inner.get("maxLength", 0) > _LONG or inner.get("format") in ("textarea", "multiline")):
        shape = "lines"
    return Field(
        name=name,
        title=str(outer.get("title") or inner.get("title") or name),
        shape="secret" if secret else shape,
        needed=needed,
        default=outer.get("default", MISSING),
        options=options,
        hint=_hint(inner, shape),
    )


def _hint(schema: Mapping[str, Any], shape: str) -> str:
    said = [str(schema["description"])] if schema.get("description") else []
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        said.append(f"{low} to {high}")
    elif low is not None or high is not None:
        said.append(f"at least {low}" if low is not None else f"at most {high}")
    elif shape == "text" and schema.get("format") not in (None, "password"):
        said.append(str(schema["format"]))
    elif shape == "json":
        said.append("JSON")
    return "; ".join(said)


def read(field: Field, text: str) -> Any:
    """What was typed, as the field's kind of value; :data:`MISSING` for nothing. What cannot be read stays a text: the schema's check then
    says what would fit."""
    if field.shape in ("text", "lines", "secret"):
        return text if text else MISSING
    word = text.strip()
    if not word:
        return MISSING
    if field.shape == "choice":
        return next((option for option in field.options if str(option) == word), word)
    if field.shape == "flag":
        return _FLAGS.get(word.lower(), word)
    if field.shape in ("whole", "number"):
        try:
            return int(word) if field.shape == "whole" else float(word)
        except ValueError:
            return word
    try:
        return json.loads(word)
    except ValueError:
        return word

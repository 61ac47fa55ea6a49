"""Values given for parameters, as text or with types, to the type the runbook declares."""

from __future__ import annotations

import json
import math
from typing import Any

from holdfast.model.manifest import Parameter

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_NULL = frozenset({"", "none", "null"})
_KINDS: dict[str, str] = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "array": "list", "object": "dict"}
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "list": "a list (JSON, or words with commas between)",
    "dict": 'an object (JSON such as {"a": 1})',
}


class Mistyped(ValueError):
    """The value is not of the declared type; the text says what was expected."""


def from_text(text: Any, parameter: Parameter) -> Any:
    """A value as typed on a command line.

    Raises:
        Mistyped: it cannot be read as the declared type.
    """
    if not isinstance(text, str):
        return from_value(text, parameter)
    if _nullable(parameter) and text.strip().lower() in (_NULL - {""} if parameter.type == "str" else _NULL):
        return None
    if parameter.type == "str":
        return text
    if parameter.type == "any":
        choices = parameter.schema.get("enum")
        return next((c for c in choices if str(c) == text), _guess(text)) if isinstance(choices, list) else _guess(text)
    return _read(text, parameter.type, parameter.schema)


def from_value(value: Any, parameter: Parameter) -> Any:
    """A value that already has a type; text is read for a parameter that is no text.

    Raises:
        Mistyped: it is not of the declared type.
    """
    if value is None:
        if _nullable(parameter) or parameter.type == "any" or ("default" in parameter.schema and parameter.default is None):
            return None
        raise Mistyped(f"is null; {_WORDS[parameter.type]} is needed")
    return _typed(value, parameter.type, parameter.schema)


def _typed(value: Any, kind: str, schema: dict[str, Any]) -> Any:
    if kind == "any":
        return value
    if isinstance(value, str) and kind != "str":
        return _read(value, kind, schema)
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return value if "anyOf" in schema else float(value)
    if kind == "list" and isinstance(value, (tuple, set, frozenset)):
        value = list(value)
    right: type[Any] = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}[kind]
    if not isinstance(value, right) or (isinstance(value, bool) and kind != "bool"):
        raise Mistyped(f"{_short(value)} is not {_WORDS[kind]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Mistyped(f"{value!r} is not a finite number")
    if kind == "list":
        return [_item(v, schema.get("items"), f"item {n}") for n, v in enumerate(value)]
    if kind == "dict":
        return {str(k): _item(v, schema.get("additionalProperties"), f"key {k!r}") for k, v in value.items()}
    return value


def _item(value: Any, schema: Any, place: str) -> Any:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        return value
    try:
        if value is None:
            raise Mistyped(f"null is not {_WORDS[_KINDS[kind]]}")
        return _typed(value, _KINDS[kind], schema)
    except Mistyped as error:
        raise Mistyped(f"{place}: {error}") from None


def _read(text: str, kind: str, schema: dict[str, Any]) -> Any:
    bare = text.strip()
    try:
        if kind == "int":
            return int(bare)
        if kind == "float":
            number = float(bare)
            if math.isfinite(number):
                return number
        if kind == "bool" and bare.lower() in _TRUE | _FALSE:
            return bare.lower() in _TRUE
        if kind in ("list", "dict") and bare[:1] in ("[", "{"):
            return _typed(_no_text(json.loads(bare), kind), kind, schema)
        if kind == "list":
            return _typed([part.strip() for part in bare.split(",")] if bare else [], kind, schema)
    except json.JSONDecodeError as error:
        raise Mistyped(f"{_short(text)} is not valid JSON ({error.msg} at character {error.pos})") from None
    except Mistyped:
        raise
    except ValueError:
        pass
    raise Mistyped(f"{_short(text)} is not {_WORDS[kind]}")


def _no_text(value: Any, kind: str) -> Any:
    """Guards against reading text within text for ever."""
    if isinstance(value, str):
        raise Mistyped(f"{_short(value)} is not {_WORDS[kind]}")
    return value


def _guess(text: str) -> Any:
    """Without a declared type: what papermill's command line makes of it."""
    if text in ("True", "true"):
        return True
    if text in ("False", "false"):
        return False
    if text in ("None", "null"):
        return None
    for kind in (int, float):
        try:
            number = kind(text)
            return number if math.isfinite(number) else text
        except ValueError:
            continue
    return text


def _nullable(parameter: Parameter) -> bool:
    kind = parameter.schema.get("type")
    anything = parameter.schema.get("anyOf", [])
    return (isinstance(kind, list) and "null" in kind) or {"type": "null"} in anything or None in parameter.schema.get("enum", [])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

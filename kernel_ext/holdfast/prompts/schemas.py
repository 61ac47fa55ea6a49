"""JSON Schema as forms use it: is a schema good, what is missing in a value, does it fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.prompts.sealing import change_secrets, dereferenced

_SHORTEST_MASKED = 4
_LIMITS = {
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "type": "must be of type {}",
}


def problem_of(schema: Any) -> str | None:
    """Why ``schema`` is no JSON Schema of an object; None when it is."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(schema, Mapping):
        return f"a schema is a mapping, not {type(schema).__name__}"
    if schema.get("type", "object") != "object":
        return "the schema of a form is of type object"
    try:
        validator_for(schema, default=_default()).check_schema(dict(schema))
    except SchemaError as error:
        return f"{'/'.join(map(str, error.path)) or 'the schema'}: {error.message}"
    return None


def with_defaults(schema: Mapping[str, Any], value: Any, root: Any = None) -> Any:
    """A copy of ``value`` with the defaults of its schema for what is missing."""
    root = schema if root is None else root
    found = dereferenced(schema, root)
    if not isinstance(value, Mapping) or not isinstance(found, Mapping):
        return value
    filled = dict(value)
    for name, part in (found.get("properties") or {}).items():
        if name in filled:
            filled[name] = with_defaults(part, filled[name], root)
        elif isinstance(part, Mapping) and "default" in part:
            filled[name] = part["default"]
    return filled


def misfits(schema: Mapping[str, Any], value: Any) -> list[tuple[str, str]]:
    """What is wrong with ``value``: (field, what) for each; the field is empty when it is the whole. Secrets are left out of it."""
    from jsonschema.validators import validator_for

    kind = validator_for(schema, default=_default())
    secrets: list[Any] = []

    def note(secret: Any) -> Any:
        secrets.append(secret)
        return secret

    change_secrets(schema, value, note)
    found = []
    for error in sorted(kind(schema, format_checker=kind.FORMAT_CHECKER).iter_errors(value), key=lambda e: [str(p) for p in e.path]):
        field, message = "/".join(map(str, error.path)), error.message
        if error.validator == "required" and isinstance(error.instance, Mapping):
            needed: Any = error.validator_value
            missing = [n for n in needed if n not in error.instance and repr(n) in message]
            field, message = "/".join(filter(None, [field, *missing[:1]])), "is needed"
        elif error.validator == "minLength" and error.instance == "":
            message = "is needed"
        elif error.validator in _LIMITS:
            message = _LIMITS[str(error.validator)].format(error.validator_value)
        found.append((field, _without(message, secrets)))
    return found


def _without(message: str, secrets: list[Any]) -> str:
    for secret in secrets:
        message = message.replace(repr(secret), "***")
        if isinstance(secret, str) and len(secret) >= _SHORTEST_MASKED:
            message = message.replace(secret, "***")
    return message


def _default() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator

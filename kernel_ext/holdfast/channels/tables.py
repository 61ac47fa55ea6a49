"""Reading a channel's table: each returns what the key has, or raises ``ValueError`` with a sentence that names the key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from holdfast.channels.channel import Given
from holdfast.events.near import did_you_mean


def known(given: Given, keys: Collection[str]) -> None:
    """Refuse keys that the channel does not know."""
    for key in given.table:
        if key not in keys:
            raise ValueError(f"unknown key {key!r}. {did_you_mean(key, keys)}")


def text(given: Given, key: str, default: str | None = None) -> str:
    """A text; needed unless there is a default."""
    value = given.table.get(key, default)
    if not isinstance(value, str) or (not value and default is None):
        raise ValueError(f"{key} must be a text" if key in given.table else f"{key} is missing")
    return value


def number(given: Given, key: str, default: float) -> float:
    """A number above 0."""
    value = given.table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{key} must be a number above 0")
    return float(value)


def choice(given: Given, key: str, choices: Collection[str], default: str) -> str:
    """One of some words."""
    value = given.table.get(key, default)
    if value not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}")
    return str(value)


def secret(given: Given, key: str, *, needed: bool = True) -> str | None:
    """What a reference stands for; the reference itself is never a secret."""
    reference = given.table.get(key)
    if reference is None and not needed:
        return None
    if not isinstance(reference, str):
        raise ValueError(f"{key} must be a reference (env:NAME or file:PATH)" if reference is not None else f"{key} is missing")
    try:
        return given.secret(reference)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def texts(given: Given, key: str) -> Mapping[str, str]:
    """A table of texts."""
    value: Any = given.table.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(v, str) and v for v in value.values()):
        raise ValueError(f"{key} must be a table of texts")
    return value

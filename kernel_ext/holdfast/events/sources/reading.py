"""What sources have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from holdfast.events.cloudevents import json_of, misunderstood
from holdfast.events.signatures import refused, token_given
from holdfast.events.source import Trust


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises ``RequestError`` HF722."""
    value = json_of(body)
    if not isinstance(value, dict):
        raise misunderstood("the body must be a JSON object")
    return value


def digest(*parts: Any) -> str:
    """A short id made from ``parts`` alone."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


def require_token(headers: Mapping[str, str], trust: Trust) -> None:
    """For vendors that sign nothing: one of the tokens, or one of the secrets used as one. Raises ``RequestError`` HF720."""
    if not token_given(headers, (*trust.tokens, *trust.secrets), trust.header):
        raise refused("no token that fits (Authorization: Bearer, or the password of Basic)")

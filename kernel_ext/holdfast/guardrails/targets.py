"""What a request changes, for people and for counting, where nobody said."""

from __future__ import annotations

import re
from typing import Any

_LONGEST = 200
#: Keys under which things have their name, the best first.
_NAMES = ("id", "Id", "ID", "arn", "Arn", "name", "Name", "key", "Key", "host", "hostname", "uid")


def target_of(kind: str, operation: str) -> str:
    """What the request changes: an address without its query, else the request as people read it."""
    text = operation
    if kind == "http":
        text = re.sub(r"[?#].*", "", operation.partition(" ")[2])
    return text[:_LONGEST]


def label_of(item: Any) -> str:
    """The name of a thing: its id or name where it has one, else the beginning of its text."""
    if isinstance(item, str):
        return item[:_LONGEST]
    if isinstance(item, dict):
        return _of_dict(item) or str(item)[:_LONGEST]
    metadata = getattr(item, "metadata", None)  # Kubernetes
    named = getattr(metadata, "name", None)
    if isinstance(named, str):
        space = getattr(metadata, "namespace", None)
        return f"{space}/{named}" if isinstance(space, str) and space else named
    for name in _NAMES:
        value = getattr(item, name, None)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return str(value)[:_LONGEST]
    return str(item)[:_LONGEST]


def _of_dict(item: dict[Any, Any]) -> str | None:
    metadata = item.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
        space = metadata.get("namespace")
        return f"{space}/{metadata['name']}" if isinstance(space, str) and space else str(metadata["name"])
    for name in (*_NAMES, *(k for k in item if isinstance(k, str) and re.search(r"(Id|_id|Arn|Identifier|Name|_name)$", k))):
        value = item.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)[:_LONGEST]
    return None

"""Event: a CloudEvent, from outside or for the outside."""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent 1.0. ``id`` is unique within ``source``: the pair says whether an event is the same."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None  # RFC 3339
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: Any = None  # JSON types, or bytes
    extensions: dict[str, Any] = {}  # further attributes: text, whole number, true or false

    @property
    def attributes(self) -> dict[str, Any]:
        """All context attributes that are set, ``specversion`` first."""
        named = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": self.datacontenttype,
            "dataschema": self.dataschema,
        }
        return {**{k: v for k, v in named.items() if v is not None}, **self.extensions}

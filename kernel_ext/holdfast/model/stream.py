"""Stream: a named, append-only list of lines that belongs to the installation, not to one execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line as read. ``body`` is msgpack; :attr:`data` decodes it."""

    stream: str
    seq: int  # 1, 2, 3 ... within the stream, no holes
    at: float  # seconds since the epoch
    kind: str
    key: str | None  # what the line speaks of, by index
    once: str | None
    actor: str
    body: bytes
    digest: bytes  # 32 bytes over the line before and this one, keyed with the installation's key

    @property
    def data(self) -> Any:
        """The decoded body (a dict)."""
        return msgspec.msgpack.decode(self.body) if self.body else {}


class LineDraft(msgspec.Struct, frozen=True, kw_only=True):
    """One line to write. ``once``, when given, is unique within the stream."""

    kind: str
    key: str | None = None
    body: Mapping[str, Any] | bytes = {}
    actor: str = ""
    once: str | None = None


class Added(msgspec.Struct, frozen=True):
    """What became of a draft: the line that stands, and whether it is new (else its ``once`` was taken by this line before)."""

    line: Line
    new: bool

"""The contract between values and bytes. Built-in codecs are in ``holdfast.codecs``."""

from __future__ import annotations

from typing import Any, Protocol

from typing_extensions import Buffer


class Unsuited(Exception):
    """The codec cannot give this value back exactly as it is; the next one is asked."""


class Codec(Protocol):
    """Turns values into bytes and back, exactly: ``loads(dumps(value))`` equals ``value`` in value, types and shared references."""

    name: str  # kept with the bytes; never reused for another format

    def dumps(self, value: Any) -> bytes:
        """The value as bytes. Raises :class:`Unsuited`, with the reason as its text."""

    def loads(self, data: Buffer) -> Any:
        """The value of authenticated bytes; a new object every time."""


class Blobs(Protocol):
    """What codecs need of a blob store (``holdfast.journal.BlobStore`` fulfils it)."""

    def put(self, data: Buffer, *, compress: bool = True) -> bytes:
        """Store; returns the address."""

    def get(self, address: bytes) -> memoryview:
        """The verified bytes."""

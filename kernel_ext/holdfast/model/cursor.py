"""Cursor: how far a consumer has come, under a name; moved by compare-and-set."""

from __future__ import annotations

import msgspec


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A cursor as read; one that was never moved has version 0 and position 0."""

    name: str
    position: int = 0  # the last seq or change that was dealt with
    version: int = 0  # raised by each move; what a move compares
    at: float = 0.0  # of the last move, seconds since the epoch
    body: bytes = b""  # the consumer's own (msgpack): what it must remember beside the position

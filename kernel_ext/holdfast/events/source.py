"""The contract of a source: what turns a vendor's webhook into CloudEvents. Implementations are in ``events/sources/``; the suite is
``holdfast.testing.contracts.source``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from holdfast.model.event import Event


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What a request must prove. Without secrets and tokens, only a caller whom the gateway knows may send."""

    secrets: tuple[bytes, ...] = ()  # any of them signs; two while one is being replaced
    tokens: tuple[bytes, ...] = ()  # any of them lets in
    window: float = 300.0  # seconds that a signed time may lie back (or ahead)
    header: str | None = None  # webhook only: where the signature is
    prefix: str = ""  # webhook only: what stands before its digits
    algorithm: str = "sha256"  # webhook only
    timestamp_header: str | None = None  # webhook only: what is signed is then "TIME.BODY"
    event_type: str | None = None  # webhook only: the type of its events; may be a path into the body, as may the next two
    event_id: str | None = None
    event_subject: str | None = None

    @property
    def given(self) -> bool:
        """Whether anything is to be proved."""
        return bool(self.secrets or self.tokens)


class Source(Protocol):
    """One kind of webhook. Stateless; one object serves all sources of its kind."""

    kind: str

    def verify(self, headers: Mapping[str, str], body: bytes, trust: Trust, now: float) -> None:
        """Raise ``RequestError`` HF720 (not proved) or HF721 (too old) unless the request proves what ``trust`` asks; called only when it
        asks something. Header names are lower-case. ``now``: seconds since the epoch."""

    def read(self, name: str, headers: Mapping[str, str], body: bytes, trust: Trust) -> list[Event]:
        """The events of a request. The same request gives events of the same ids, so that a repetition is noticed; a vendor's repetition of
        the same matter, too. Raises ``RequestError`` HF722.

        Args:
            name: of the source as configured; part of the events' ``source``.
        """

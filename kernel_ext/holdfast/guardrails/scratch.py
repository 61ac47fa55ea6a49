"""A journal to count on without writing to it: what is added stays on top, in memory, and is thrown away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.model.entry import Entry
from holdfast.model.stream import Added, Line, LineDraft


class Scratch:
    """The part of a store that guardrails look at, over ``below``. For one caller.

    Args:
        below: the journal; it is only read.
    """

    def __init__(self, below: Store) -> None:
        self._below = below
        self._own: dict[str, list[Line]] = {}

    def __getattr__(self, name: str) -> Any:
        if name in ("append", "create", "claim", "renew", "release"):
            raise AttributeError(f"nothing is written here: {name}")
        return getattr(self._below, name)

    def read(self, execution: str, **which: Any) -> list[Entry]:
        """See ``Store``; an execution that is not there has none."""
        return self._below.read(execution, **which) if self._below.header(execution) is not None else []

    @property
    def streams(self) -> Scratch:
        """What belongs to no single execution."""
        return self

    def add(self, stream: str, drafts: Sequence[LineDraft], *, last: int | None = None) -> list[Added]:
        """See ``StreamStore``; nobody overtakes here."""
        added = []
        for draft in drafts:
            there = self.line_once(stream, draft.once) if draft.once is not None else None
            if there is None:
                body = draft.body if isinstance(draft.body, bytes) else msgspec.msgpack.encode(draft.body)
                there = Line(
                    stream=stream, seq=self.end(stream)[0] + 1, at=clock.now(), kind=draft.kind, key=draft.key, once=draft.once,
                    actor=draft.actor, body=body, digest=b"",
                )  # fmt: skip
                self._own.setdefault(stream, []).append(there)
                added.append(Added(there, True))
            else:
                added.append(Added(there, False))
        return added

    def lines(
        self,
        stream: str,
        *,
        after: int = 0,
        kinds: Iterable[str] | None = None,
        key: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Line]:
        """See ``StreamStore``."""
        wanted = None if kinds is None else set(kinds)
        below = self._below.streams.lines(stream, after=after, kinds=wanted, key=key, newest_first=newest_first, limit=limit)
        own = [
            line
            for line in self._own.get(stream, ())
            if line.seq > after and (wanted is None or line.kind in wanted) and key in (None, line.key)
        ]
        return (own[::-1] + below if newest_first else below + own)[:limit]

    def line_once(self, stream: str, once: str) -> Line | None:
        """See ``StreamStore``."""
        own = next((line for line in self._own.get(stream, ()) if line.once == once), None)
        return own if own is not None else self._below.streams.line_once(stream, once)

    def end(self, stream: str) -> tuple[int, bytes]:
        """See ``StreamStore``."""
        own = self._own.get(stream)
        return (own[-1].seq, own[-1].digest) if own else self._below.streams.end(stream)

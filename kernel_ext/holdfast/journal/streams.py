"""The contract of what a journal keeps beside executions: streams, cursors, and the order of changes over all executions.
Implementations are in ``journal/stores/``; the suite is ``holdfast.testing.contracts.store_streams``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from holdfast.model.cursor import Cursor
from holdfast.model.entry import Entry
from holdfast.model.stream import Added, Line, LineDraft


class StreamMoved(Exception):
    """Somebody else added to the stream since the caller looked: ``last`` is its last seq now; nothing was written."""

    def __init__(self, stream: str, last: int) -> None:
        super().__init__(f"stream {stream!r} is at {last} now")
        self.stream, self.last = stream, last

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.stream, self.last)


class StreamStore(Protocol):
    """All methods may be called from any thread; every method raises ``StoreError`` (HF5xx) like those of ``Store``."""

    def add(self, stream: str, drafts: Sequence[LineDraft], *, last: int | None = None) -> list[Added]:
        """Write lines in one transaction; a stream begins with its first line. In the order of ``drafts``: the line of each. A
        draft whose ``once`` is taken writes nothing and gives the line that has it.

        Args:
            last: write only when this is the stream's last seq (0: it is empty); else ``StreamMoved`` is raised. What a caller
                decided from all lines up to ``last`` is thereby still true when it is written.
        """

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
        """Lines with a seq above ``after``, of some kinds and about one ``key`` when given. A stream without lines is empty."""

    def line_once(self, stream: str, once: str) -> Line | None:
        """The line that has taken ``once``."""

    def end(self, stream: str) -> tuple[int, bytes]:
        """The stream's last seq and the digest it has reached; ``(0, b"")`` without lines."""

    def cursor(self, name: str) -> Cursor:
        """Where the consumer ``name`` is; version 0 when it never moved."""

    def cursors(self, prefix: str = "") -> list[Cursor]:
        """The cursors whose names begin so, by name."""

    def move(self, cursor: Cursor, position: int, *, body: bytes | None = None) -> Cursor | None:
        """Set position and body (None: as it is), unless the cursor moved since ``cursor`` was read: then None, and nothing is written."""

    def changes(self, *, after: int = 0, limit: int | None = None) -> list[tuple[int, Entry]]:
        """Entries of all executions, each with its place in the order of commits: whoever has read up to a place has missed
        nothing before it, and the entries of one execution come in order of seq. Entries of calls and of items (kinds
        ``call.*``, ``item.*``) are left out: they are many, and belong to their step. The order begins with schema 2."""

    def newest_change(self) -> int:
        """The place of the newest change; 0 when there is none."""

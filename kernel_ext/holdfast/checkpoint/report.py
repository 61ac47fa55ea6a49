"""What the room tells its caller: flags, the result of a capture, the result of a restore."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

Label = Literal["exact", "replay", "flagged"]


class Flag(msgspec.Struct, frozen=True):
    """One thing that a later restore cannot promise to make as it was."""

    name: str  # the variable, class or process state concerned
    why: str
    cure: str
    code: str = "HF130"


class Capture(msgspec.Struct, frozen=True):
    """The outcome of :meth:`Checkpointer.capture`.

    ``label``: *exact* (restored from bytes), *replay* (some cells run again at restore, against the record), *flagged* (see ``flags``).
    """

    delta: bytes
    label: Label
    flags: list[Flag]
    stats: dict[str, Any]


class Report(msgspec.Struct):
    """The outcome of a restore or a rollback."""

    loaded: list[str] = []
    replayed: list[str] = []
    flags: list[Flag] = []
    needs_restart: bool = False
    seconds: float = 0.0


class Replayer(Protocol):
    """Given by the kernel: runs a recorded cell again."""

    def replay(self, cell: str) -> None:
        """Run the recorded source of ``cell`` in the namespace, outputs suppressed, calls answered from the record.

        Raises whatever the cell raises, or an error when a call has no record."""

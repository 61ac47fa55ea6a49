"""The running cell as the recorder knows it, and what it says of it at the end."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from holdfast.errors import ControlFlow
from holdfast.model.entry import Draft
from holdfast.model.policy import Policy


class CellContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel tells the recorder before it runs a cell.

    ``mode``: ``first`` and ``replay`` differ for people only (the journal says what is recorded); ``new_attempt`` makes reads and
    failed calls anew (the attempt number decides); ``restore`` answers every call from the record, whatever attempt made it, and
    refuses a call without one.
    """

    step: str
    cell: str  # the cell's key within the execution
    source_digest: str  # calls recorded under another digest were made by other code
    step_attempt: int = 1
    mode: Literal["first", "replay", "new_attempt", "restore"] = "first"
    edited: bool = False  # the source differs from what ran before, whatever the records say
    policy: Policy = Policy()
    dry_run: bool = False
    undoes: bool = False  # a teardown step, which a person asked for: no cap, breaker or approval keeps it back
    ancestors: tuple[str, ...] | None = None  # steps whose questions may have approved what this one does; None: any
    completed: frozenset[str] | None = None  # cells of the step whose completion counts; None: the recorder looks


#: The effect of what is no call: a question that a dry run did not ask.
QUESTION: Final = "question"


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a dry run did not make, or a question that it did not ask."""

    step: str
    kind: str
    operation: str
    arguments: dict[str, Any]
    effect: str
    target: str = ""
    destructive: bool = False
    population: int | None = None  # how many things its target was chosen from
    said: str = ""  # what the outside answered when it was asked what would come of it


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell did to the outside."""

    calls: int = 0  # made or answered, cheap ones (clock, random) not counted
    replayed: int = 0  # of these, answered from the record
    orphaned: tuple[str, ...] = ()  # operations recorded by an earlier version of the cell and not asked for by this one
    undeclared: tuple[str, ...] = ()  # effects the audit hook saw outside any call
    matters: tuple[str, ...] = ()  # pending matters that it was suspended for
    unwound: ControlFlow | None = None  # what ended its main line, though the author's code may have caught it
    plan: tuple[Planned, ...] = ()  # dry run: the writes it would have made
    drafts: tuple[Draft, ...] = ()  # entries to be committed together with the cell's completion or failure

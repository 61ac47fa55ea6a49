"""Hand-over: an execution goes from the person who answers for it to another, who acknowledges."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

#: In place of names: anybody who may take an execution over.
EVERYONE: Final = "everyone"
_GROUP: Final = "group:"


class HandoverState(StrEnum):
    """``offered -> accepted | declined | withdrawn``; the first end wins."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """One offer, and what came of it. Times in seconds since the epoch."""

    execution: str
    number: int  # 1, 2 ... within the execution
    giver: str  # who answered for the execution when it was offered
    offered_by: str  # the giver, or somebody in their place
    to: tuple[str, ...]  # people and groups (``group:NAME``), or ``everyone``
    note: str = ""
    offered_at: float = 0.0
    state: HandoverState = HandoverState.OFFERED
    ended_by: str | None = None
    ended_at: float | None = None
    via: str | None = None
    why: str | None = None

    def is_for(self, who: str, groups: Iterable[str] = ()) -> bool:
        """Whether ``who``, who is in ``groups``, is among those to whom it is offered."""
        return EVERYONE in self.to or among(who, groups, self.to)


def among(who: str, groups: Iterable[str], names: Iterable[str]) -> bool:
    """Whether ``names`` (people, groups, ``group:NAME``) name ``who``, who is in ``groups``."""
    mine = {*groups, *(f"{_GROUP}{name}" for name in groups)}
    if not who.startswith(_GROUP):  # nobody is a group by the name they sign in with
        mine.add(who)
    return not mine.isdisjoint(names)

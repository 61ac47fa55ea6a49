"""What people have asked of an execution that works: to pause, to end."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.model.entry import Entry, Kind


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked of a running execution."""

    what: str  # "pause" | "cancel"
    who: str = ""
    why: str = ""
    at_once: bool = False  # also the cell that runs
    stays: bool = True  # False: the worker must go, the execution need not wait for a person
    finish: bool = False  # cancel: the steps that run may finish first
    written: bool = False  # it stands in the journal


def open_requests(entries: Iterable[Entry]) -> list[Asked]:
    """The requests that nobody has acted on yet; going on after a pause settles that pause."""
    open: list[Asked] = []
    for entry in entries:
        if entry.kind == Kind.REQUESTED:
            body = entry.data
            if body.get("what") in ("pause", "cancel"):
                who, why = body.get("who") or entry.actor, body.get("why") or ""
                open.append(Asked(what=body["what"], who=who, why=why, finish=bool(body.get("finish")), written=True))
        elif entry.kind in (Kind.EXECUTION_PAUSED, Kind.EXECUTION_RESUMED):
            open = [a for a in open if a.what == "cancel"]
        elif entry.kind == Kind.EXECUTION_CANCELLED:
            open = []
    return open


REQUEST_KINDS = (Kind.REQUESTED, Kind.EXECUTION_PAUSED, Kind.EXECUTION_RESUMED, Kind.EXECUTION_CANCELLED)

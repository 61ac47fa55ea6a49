"""What a line of control acts on just now: the target of its changes, and how that looked before."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from holdfast.durable import current
from holdfast.durable.lanes import HERE
from holdfast.foundation import clock, durations
from holdfast.guardrails.targets import target_of
from holdfast.notebook.destroying import request_destroys

if TYPE_CHECKING:
    from holdfast.durable.conduct import Call
    from holdfast.durable.lanes import Lane
    from holdfast.durable.recorder import Recorder
    from holdfast.durable.targets import Targets


class Acting:
    """One target while it is acted on.

    Args:
        label: its name.
        among: the set it was taken from, when it was.
        why: for the record.
        before: how it looked; None when nobody looked.
    """

    __slots__ = ("among", "before", "calls", "label", "why")

    def __init__(self, label: str, *, among: Targets | None = None, why: str = "", before: Any = None) -> None:
        self.label, self.among, self.why, self.before = label, among, why, before
        self.calls: list[str] = []  # keys of the calls that changed it


def lane_here() -> Lane | None:
    """The line of control that calls made here belong to; None where nothing is recorded."""
    recorder = current.active()
    if recorder is None or recorder.cell is None:
        return None
    here = HERE.get()
    return here.lane if here is not None and here.lane is not None else recorder.cell.main


@contextmanager
def acting_on(acting: Acting) -> Iterator[Acting]:
    """Changes made in this context are made to it."""
    lane = lane_here()
    if lane is None:
        yield acting
        return
    outer, lane.acting = lane.acting, acting
    try:
        yield acting
    finally:
        lane.acting = outer


def note_sets(recorder: Recorder, namespace: Mapping[str, Any], code: str) -> None:
    """Note which sets of targets the running cell's ``code`` can touch."""
    known = sys.modules.get("holdfast.durable.targets")  # else there are none
    if known is not None and recorder.cell is not None:
        words = frozenset(re.findall(r"\w+", code))
        recorder.cell.targets = [v for n, v in namespace.items() if n in words and type(v) is known.Targets]


def too_old(recorder: Recorder, targets: Targets) -> bool:
    """Whether a set is older than it says itself, or the runbook or the operator say."""
    of_limits = recorder.guard.limits.max_age if recorder.guard is not None else None
    given = [durations.seconds(v) for v in (targets.max_age, of_limits) if v is not None]
    return bool(given) and clock.now() - targets.read_at > min(given)


def target_here(call: Call) -> str:
    """What a call changes: what its line of control acts on, else what its request says or its text tells."""
    acting, request = call.lane.acting, call.request
    return acting.label if acting is not None else request.target or target_of(request.kind, request.operation)


def population_here(call: Call) -> int | None:
    """How many things the target of a call was chosen from, as far as a set of targets tells."""
    among = call.lane.acting.among if call.lane.acting is not None else None
    return max((s.total for s in ([among] if among is not None else list(call.cell.targets))), default=None)


def destroys(call: Call) -> bool:
    """Whether the call destroys: its request or its step says so, or its text does."""
    request = call.request
    if call.cell.context.policy.effects == "destructive" or request.destructive is not None:
        return request.destructive is not False
    return request_destroys(request.kind, request.operation)

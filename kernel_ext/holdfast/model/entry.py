"""Entry: one line of the journal of an execution."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class Kind(StrEnum):
    """What an entry tells. The journal stores the text and gives it no meaning."""

    EXECUTION_CREATED = "execution.created"
    EXECUTION_STARTED = "execution.started"  # a worker began or took over; body: owner, fence
    EXECUTION_SUSPENDED = "execution.suspended"
    EXECUTION_PAUSED = "execution.paused"
    EXECUTION_RESUMED = "execution.resumed"
    EXECUTION_SUCCEEDED = "execution.succeeded"
    EXECUTION_FAILED = "execution.failed"
    EXECUTION_CANCELLED = "execution.cancelled"
    CHANGES_ACCEPTED = "execution.changes_accepted"  # `resume --accept-changes`
    REQUESTED = "execution.requested"  # from outside: pause, cancel; body: what, who, why
    STEP_STARTED = "step.started"  # body: attempt
    STEP_FAILED = "step.failed"  # body: attempt, error, outputs of the failed cell
    STEP_SKIPPED = "step.skipped"  # `when` was false, or tagged skip, or an earlier branch failed
    STEP_RESET = "step.reset"  # `rerun STEP`, staleness: records before this entry no longer count for the step
    CELL_COMPLETED = "cell.completed"  # outputs + checkpoint delta; body `last` true: the step succeeded with it
    CALL_INTENT = "call.intent"
    CALL_OUTCOME = "call.outcome"
    CALL_VERDICT = "call.verdict"  # a person's or a probe's word on an unknown outcome
    PROMPT_OPENED = "prompt.opened"
    PROMPT_VOTED = "prompt.voted"  # approve: one person's word; whether it settles the prompt is said by the next entry
    PROMPT_ANSWERED = "prompt.answered"
    PROMPT_EXPIRED = "prompt.expired"
    PROMPT_WITHDRAWN = "prompt.withdrawn"
    TIMER_SET = "timer.set"  # body: due_at, absolute; set once, however often the execution comes by
    TIMER_FIRED = "timer.fired"
    SIGNAL_RECEIVED = "signal.received"  # from outside; body: value
    SIGNAL_AWAITED = "signal.awaited"
    SIGNAL_TAKEN = "signal.taken"  # by one wait, once; body: seq of what was received, or that the time was up
    CHILD_AWAITED = "child.awaited"
    CHILD_ENDED = "child.ended"  # key: the child's id; body: its status
    HANDOVER_OFFERED = "handover.offered"  # body: a model.handover.Handover
    HANDOVER_ACCEPTED = "handover.accepted"  # body: who answers for the execution from now on
    HANDOVER_DECLINED = "handover.declined"
    HANDOVER_WITHDRAWN = "handover.withdrawn"
    PUBLISHED = "output.published"  # body: values by name
    ITEM_COMPLETED = "item.completed"  # for_each
    TARGETS_REREAD = "targets.reread"  # key: the set's name; body: when, how many are left, which are gone
    EFFECT_SEEN = "effect.seen"  # key: the target; body: how it looked after it was changed
    GLASS_BROKEN = "glass.broken"  # from outside; body: who set which guardrails aside, why and until when
    NOTE = "note"  # undeclared effects, orphaned records, flags: for people


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line as read. ``body`` is msgpack; :attr:`data` decodes it."""

    execution: str
    seq: int  # 1, 2, 3 ... within the execution, no holes
    kind: str
    step: str | None
    key: str | None  # the cell id, call key, prompt id ... that the kind speaks of
    at: float  # seconds since the epoch
    fence: int | None  # of the writer; None when it came from outside
    actor: str
    body: bytes

    @property
    def data(self) -> Any:
        """The decoded body (a dict)."""
        return msgspec.msgpack.decode(self.body) if self.body else {}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One line to write. ``once``, when given, is unique within the execution: the first writer wins (compare and set)."""

    kind: str
    step: str | None = None
    key: str | None = None
    body: Mapping[str, Any] | bytes = {}
    actor: str = ""
    once: str | None = None


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An open matter of an execution, kept in an index until closed: a prompt, a timer, an awaited signal or child."""

    execution: str
    kind: str  # "prompt", "timer", "signal", "child"; "handover", for which only people wait
    key: str  # unique within the execution
    due_at: float | None = None  # seconds since the epoch; None: no deadline
    body: bytes = b""  # msgpack, what a list shows without reading the entries

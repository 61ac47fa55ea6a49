"""The laws of Holdfast, checked on the journal of an execution after whatever was done to it.

They are asked of the entries alone. That an effect happened once is shown elsewhere, at the far side: a journal cannot testify for
itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from holdfast.model.call import Effect
from holdfast.model.entry import Entry, Kind

_REPEATABLE = frozenset({Effect.READ, Effect.IDEMPOTENT})
_PROMPT_ENDS = frozenset({Kind.PROMPT_ANSWERED, Kind.PROMPT_EXPIRED, Kind.PROMPT_WITHDRAWN})


def broken(entries: Sequence[Entry], earlier: Sequence[Entry] = ()) -> list[str]:
    """The laws that the journal of one execution breaks, one line each; none when all hold.

    Args:
        entries: all entries of the execution, in order.
        earlier: what an earlier look at the same execution saw.
    """
    return [
        *_history_only_grows(entries, earlier),
        *_no_holes(entries),
        *_one_writer_at_a_time(entries),
        *_cells_complete_once(entries),
        *_calls_are_made_once(entries),
        *_prompts_end_once(entries),
    ]


def _history_only_grows(entries: Sequence[Entry], earlier: Sequence[Entry]) -> Iterable[str]:
    for before, now in zip(earlier, entries, strict=False):
        if before != now:
            yield f"entry {before.seq} ({before.kind}) is not what it was"
    if len(entries) < len(earlier):
        yield f"{len(earlier) - len(entries)} entries are gone"


def _no_holes(entries: Sequence[Entry]) -> Iterable[str]:
    if [e.seq for e in entries] != list(range(1, len(entries) + 1)):
        yield "the sequence of entries has holes"


def _one_writer_at_a_time(entries: Sequence[Entry]) -> Iterable[str]:
    """Of the whole execution, or of each of its steps where workers have leased single steps."""
    steps = {e.fence: e.data.get("step") for e in entries if e.kind == Kind.EXECUTION_STARTED}
    whole = highest = 0
    of_step: dict[str, int] = {}
    for entry in entries:
        if entry.fence is None:
            continue
        step = steps.get(entry.fence)
        limit = max(whole, of_step.get(step, 0)) if step else highest
        if entry.fence < limit:
            yield f"entry {entry.seq} ({entry.kind}) was written under fence {entry.fence} after fence {limit} had written"
        highest = max(highest, entry.fence)
        if step:
            of_step[step] = max(of_step.get(step, 0), entry.fence)
        else:
            whole = max(whole, entry.fence)


def _cells_complete_once(entries: Sequence[Entry]) -> Iterable[str]:
    done: Counter[tuple[str | None, str | None]] = Counter()
    for entry in entries:
        if entry.kind == Kind.STEP_RESET:
            for cell in [c for c in done if c[0] == entry.step]:
                del done[cell]
        elif entry.kind == Kind.CELL_COMPLETED:
            done[entry.step, entry.key] += 1
            if done[entry.step, entry.key] > 1:
                yield f"entry {entry.seq}: cell {entry.key} of step {entry.step} completed again"


class _Call:
    """What has been seen of one call key since its step was last reset."""

    def __init__(self) -> None:
        self.begun: dict[str, Any] | None = None
        self.succeeded = self.failed = False

    def permitted(self, effect: str) -> str:
        """Why a further intent is not permitted; empty when it is."""
        if self.succeeded:
            return "is made again although its success is recorded"
        if self.begun is not None and not self.failed and effect not in _REPEATABLE:
            return "is repeated although nobody knows whether it happened"
        return ""


def _calls_are_made_once(entries: Sequence[Entry]) -> Iterable[str]:
    calls: defaultdict[tuple[str | None, str | None], _Call] = defaultdict(_Call)
    for entry in entries:
        call = calls[entry.step, entry.key]
        if entry.kind == Kind.STEP_RESET:
            for key in [c for c in calls if c[0] == entry.step]:
                del calls[key]
        elif entry.kind == Kind.CALL_INTENT:
            body = entry.data
            if why := call.permitted(body.get("effect", Effect.WRITE)):
                yield f"entry {entry.seq}: {body.get('operation')} ({entry.key}) {why}"
            call.begun, call.failed = body, False
        elif entry.kind == Kind.CALL_OUTCOME:
            body = entry.data
            if call.begun is not None and call.succeeded:
                yield f"entry {entry.seq}: call {entry.key} has a second outcome"
            call.succeeded = body.get("state") == "succeeded" and call.begun is not None
            call.failed = body.get("state") == "failed"
        elif entry.kind == Kind.CALL_VERDICT:
            call.failed = entry.data.get("verdict") == "run"  # somebody, or a probe, said that it did not happen


def _prompts_end_once(entries: Sequence[Entry]) -> Iterable[str]:
    ends: Counter[str | None] = Counter(e.key for e in entries if e.kind in _PROMPT_ENDS)
    yield from (f"prompt {prompt} ended {n} times" for prompt, n in ends.items() if n > 1)

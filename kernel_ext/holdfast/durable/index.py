"""The calls of one step as the journal has them, matched one by one as the step makes them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from holdfast.durable.cell import CellContext
from holdfast.model.call import Effect
from holdfast.model.entry import Entry, Kind

#: What a step's index is made of; one read brings them all.
KINDS = (
    Kind.CALL_INTENT,
    Kind.CALL_OUTCOME,
    Kind.CALL_VERDICT,
    Kind.PROMPT_ANSWERED,
    Kind.ITEM_COMPLETED,
    Kind.CELL_COMPLETED,
    Kind.STEP_RESET,
)

_decode = msgspec.msgpack.Decoder().decode


class Record:
    """One call of the step: everything the journal says of it, folded."""

    __slots__ = (
        "about",
        "attempts",
        "begun",
        "cheap",
        "doubtful",
        "effect",
        "kept",
        "key",
        "lane",
        "next_at",
        "open",
        "outcome",
        "round",
        "since",
        "verdict",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.about: dict[str, Any] = {}  # the body that describes it: the intent's, or the first outcome's
        self.begun = 0.0  # when the last intent was committed, seconds since the epoch
        self.attempts = 0  # the number of the last one
        self.effect: str = Effect.READ
        self.cheap = self.kept = False
        self.doubtful = False  # an idempotent call of which an earlier attempt may have had its effect
        self.lane = ""
        self.open = False  # an intent without outcome
        self.outcome: dict[str, Any] | None = None  # the last
        self.verdict: dict[str, Any] | None = None  # on the present open intent or exhausted round
        self.round = 0  # transient failures since the first attempt or the last verdict `run`
        self.since = 0.0  # when the round began, seconds since the epoch
        self.next_at: float | None = None  # when the next retry is due

    @property
    def attempt_of_step(self) -> int:
        """Which attempt of the step made it."""
        return int(self.about.get("step_attempt", 1))

    def counts(self, context: CellContext) -> bool:
        """Whether its outcome answers the call in this attempt of the step."""
        out = self.outcome
        if out is None or self.open or "transient" in out:
            return False
        if context.mode == "restore" or self.attempt_of_step == context.step_attempt:
            return True
        return bool(out["state"] == "succeeded" and (self.cheap or self.kept or self.effect != Effect.READ))

    def take(self, kind: str, body: dict[str, Any]) -> None:
        """Fold one entry in."""
        if kind == Kind.CALL_INTENT:
            self.about, self.open, self.verdict = body, True, None
            self.attempts = body["attempt"]
            self.effect, self.lane = body["effect"], body["lane"]
            self.doubtful = self.doubtful or "resumed" in body
        elif kind == Kind.CALL_OUTCOME:
            if "kind" in body:  # a read: its outcome describes it
                self.about = body
                self.effect, self.lane, self.cheap = body["effect"], body["lane"], "cheap" in body
                self.kept = "kept" in body
            self.attempts = max(self.attempts, body["attempt"])
            self.outcome, self.open, self.verdict = body, False, None
            if "transient" in body:
                self.round += 1
                self.next_at = body.get("next_at")
                self.since = self.since or body["started_at"]
            else:
                self.round, self.since, self.next_at = 0, 0.0, None
        else:
            self.verdict = body
            if body["verdict"] == "run":
                self.round, self.since, self.next_at = 0, 0.0, None


class StepIndex:
    """All records of a step, ready to be matched by one cell.

    Args:
        entries: of the step, in order.
        context: the cell that is about to make calls.
    """

    def __init__(self, entries: Iterable[Entry], context: CellContext) -> None:
        self.context = context
        self.epoch = 0
        self.records: dict[str, Record] = {}
        self.answers: dict[str, dict[str, Any]] = {}  # prompt id -> body of its answer
        self._items: dict[str, dict[str, Any]] = {}  # for_each: item key -> body
        self._items_ready: dict[str, deque[tuple[str, dict[str, Any]]]] = {}
        self.effects = 0  # calls with an intent: what `max_effects` counts
        completed: set[str] = set()
        for entry in entries:
            self._fold(entry, completed)
        self.count: dict[str, int] = {}  # call hash -> highest n
        self._ready: dict[str, deque[Record]] = {}
        self.waiting: dict[str, dict[str, Record]] = {}  # lane -> recorded writes of this cell not asked for yet
        self._arrange(completed if context.completed is None else context.completed)

    def _fold(self, entry: Entry, completed: set[str]) -> None:
        kind, key = entry.kind, entry.key or ""
        if kind == Kind.CALL_INTENT or kind == Kind.CALL_OUTCOME or kind == Kind.CALL_VERDICT:
            record = self.records.get(key)
            if record is None:
                record = self.records[key] = Record(key)
            record.take(kind, _decode(entry.body))
            if record.open:
                record.begun = entry.at
        elif kind == Kind.PROMPT_ANSWERED:
            self.answers[key] = _decode(entry.body)
        elif kind == Kind.ITEM_COMPLETED:
            self._items[key] = _decode(entry.body)
        elif kind == Kind.CELL_COMPLETED:
            completed.add(key)
        elif kind == Kind.STEP_RESET:
            completed.clear()
            body = _decode(entry.body) if entry.body else {}
            if not body.get("keep_calls"):  # else: edited code runs again, and what it did stays done
                self.epoch = body.get("epoch", entry.seq)  # a fork's copy tells what it was where the calls were made
                self.records.clear()
                self._items.clear()

    def _arrange(self, completed: Iterable[str]) -> None:
        context, cell = self.context, self.context.cell
        self.records = {k: r for k, r in self.records.items() if r.about}  # a verdict alone: the call was never begun
        others = frozenset(completed) - {cell}
        for key, record in self.records.items():
            base, _, n = key.rpartition("~")
            self.count[base] = max(self.count.get(base, 0), int(n))
            about = record.about
            if not record.cheap and record.effect != Effect.READ and "refused" not in about:
                self.effects += 1
            made_by = about.get("cell")
            if made_by in others:
                continue  # its cell is complete and will not ask again
            ready = self._ready.get(base)
            if ready is None:
                ready = self._ready[base] = deque()
            if made_by == cell:
                ready.append(record)
                if (
                    record.effect != Effect.READ
                    and not record.cheap
                    and record.attempt_of_step == context.step_attempt
                    and "refused" not in about
                ):
                    self.waiting.setdefault(record.lane, {})[key] = record
            else:
                ready.appendleft(record)
        for key, body in self._items.items():
            base, _, n = key.rpartition("~")
            self.count[base] = max(self.count.get(base, 0), int(n))
            if body.get("cell") not in others:
                self._items_ready.setdefault(base, deque()).append((key, body))
        for ready in self._ready.values():
            if len(ready) > 1:
                ordered = sorted(ready, key=lambda r: (r.about.get("cell") != cell, int(r.key.rpartition("~")[2])))
                ready.clear()
                ready.extend(ordered)

    def match(self, base: str) -> Record | None:
        """The next unused record of this call hash."""
        ready = self._ready.get(base)
        if not ready:
            return None
        record = ready.popleft()
        lane = self.waiting.get(record.lane)
        if lane is not None:
            lane.pop(record.key, None)
        return record

    def add(self, base: str) -> Record:
        """A new record for a call made for the first time."""
        n = self.count[base] = self.count.get(base, 0) + 1
        record = Record(f"{base}~{n}")
        self.records[record.key] = record
        return record

    def item(self, base: str, lane: str) -> tuple[str, dict[str, Any] | None]:
        """The next item of ``for_each`` with this hash: its key, and what is recorded of it when that counts."""
        ready = self._items_ready.get(base)
        if not ready:
            n = self.count[base] = self.count.get(base, 0) + 1
            return f"{base}~{n}", None
        key, body = ready.popleft()
        context = self.context
        same = context.mode == "restore" or (body["step_attempt"] == context.step_attempt and body["source"] == context.source_digest)
        if body["state"] != "succeeded" and (not same or context.edited):
            return key, None
        prefix = f"{lane}{key}"
        for name in [name for name in self.waiting if name == prefix or name.startswith(prefix + "/")]:
            del self.waiting[name]  # the item is done: its calls will not be asked for
        return key, body

    def leftovers(self, lane: str) -> list[Record]:
        """Recorded writes of this lane that unchanged code has not asked for yet, oldest first."""
        if self.context.edited:
            return []
        source = self.context.source_digest
        return [r for r in self.waiting.get(lane, {}).values() if r.about.get("source") == source]

    def orphans(self) -> list[Record]:
        """Recorded writes of this cell that nobody asked for."""
        return [r for lane in self.waiting.values() for r in lane.values()]

"""What became of an execution: its steps, calls and prompts, folded from the journal; and the whole as a timeline for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from holdfast.errors import HoldfastError
from holdfast.executions.injection import with_parameters
from holdfast.executions.start import pinned_notebook
from holdfast.journal.store import Store
from holdfast.model.call import CallState, Effect, request_line
from holdfast.model.entry import Entry, Kind
from holdfast.model.execution import Execution, Status
from holdfast.model.manifest import Manifest
from holdfast.notebook.compile import examine


class StepHistory(msgspec.Struct, kw_only=True):
    """One step. Times in seconds since the epoch."""

    id: str  # the step's name
    state: str = "pending"
    attempts: int = 0
    cells: int = 0
    cells_done: int = 0
    calls: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None
    teardown_of: str | None = None


class CallHistory(msgspec.Struct, kw_only=True):
    """One call. Times in seconds since the epoch."""

    id: str
    step: str | None
    cell: str | None = None
    kind: str = ""
    operation: str = ""
    arguments: dict[str, Any] = {}
    effect: str = ""
    state: str = CallState.STARTED
    attempts: int = 0
    idempotency_key: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    error: Any = None
    verdict: dict[str, Any] | None = None  # a person's or a probe's word on it
    who: str = ""  # under whose name the execution worked then
    target: str = ""  # what it changes
    destructive: bool = False
    why: str = ""
    before: Any = None  # how the target looked, where somebody looked
    after: Any = None
    approval: str | None = None  # the prompt whose answer approved it
    glass: list[str] = []  # guardrails that were set aside for it
    refused: str | None = None  # the guardrail that refused it: it was not made


class History(msgspec.Struct, kw_only=True):
    """The whole."""

    execution: Execution
    steps: list[StepHistory]
    calls: list[CallHistory]
    entries: list[Entry]
    manifest: Manifest | None = None


def history(store: Store, execution: Execution) -> History:
    """Read and fold all entries of an execution.

    Raises:
        StoreError: the journal cannot be reached.
    """
    entries = store.read(execution.id)
    manifest = manifest_of(store, execution)
    calls = fold_calls(entries, alive=execution.owner is not None)
    steps = _fold_steps(entries, manifest, execution)
    made: dict[str, int] = {}
    for call in calls:
        if call.kind not in ("clock", "random"):
            made[call.step or ""] = made.get(call.step or "", 0) + 1
    for step in steps:
        step.calls = made.get(step.id, 0)
    return History(execution=execution, steps=steps, calls=calls, entries=entries, manifest=manifest)


def to_undo(found: History, teardowns: Collection[str]) -> dict[str, tuple[str, ...]]:
    """What each of the teardown steps is there to undo: the changes on record of the step it belongs to, done or perhaps done."""
    undone_by = {s.id: s.teardown_of for s in found.steps if s.id in teardowns}
    made = [c for c in found.calls if c.effect in (Effect.WRITE, Effect.IDEMPOTENT) and c.state != CallState.FAILED]
    return {
        name: tuple(
            f"{request_line({'kind': c.kind, 'operation': c.operation, 'arguments': c.arguments})} ({c.state})"
            for c in made
            if c.step == step
        )
        for name, step in undone_by.items()
    }


def manifest_of(store: Store, execution: Execution) -> Manifest | None:
    """What the pinned notebook compiles to; None for a shell, or when the text is lost."""
    if execution.notebook is None:
        return None
    try:
        return examine(with_parameters(pinned_notebook(store, execution), execution.parameters)).manifest
    except HoldfastError:
        return None


#: The entries that calls are folded from.
CALL_KINDS = (Kind.CALL_INTENT, Kind.CALL_OUTCOME, Kind.CALL_VERDICT, Kind.EFFECT_SEEN)
_SAID = ("target", "destructive", "why", "before", "approval", "glass")


def fold_calls(entries: Iterable[Entry], *, alive: bool) -> list[CallHistory]:
    """Calls in the order in which they were begun.

    Args:
        alive: whether a worker has the execution: an intent without outcome is then under way, else its outcome is unknown.
    """
    calls: dict[tuple[str | None, str], CallHistory] = {}
    for entry in entries:
        if entry.kind == Kind.EFFECT_SEEN:
            for key in entry.data["calls"]:
                if (changed := calls.get((entry.step, key))) is not None:
                    changed.after = entry.data["after"]
            continue
        if entry.kind not in CALL_KINDS:
            continue
        place = (entry.step, entry.key or "")
        call = calls.get(place)
        if call is None:
            call = calls[place] = CallHistory(id=entry.key or "", step=entry.step)
        _fold_call(call, entry, entry.data)
    for call in calls.values():
        if call.state == CallState.STARTED and not alive:
            call.state = CallState.UNKNOWN
    return list(calls.values())


def _fold_call(call: CallHistory, entry: Entry, body: dict[str, Any]) -> None:
    for name in ("kind", "operation", "effect", "cell", "idempotency_key"):
        if body.get(name):
            setattr(call, name, str(body[name]))
    if body.get("arguments"):
        call.arguments = body["arguments"]
    call.attempts = max(call.attempts, int(body.get("attempt") or 0))
    for name in _SAID:
        if body.get(name) is not None:
            setattr(call, name, body[name])
    if entry.kind == Kind.CALL_INTENT:
        call.who, call.refused, call.error = entry.actor, None, None
        call.state, call.ended_at = CallState.STARTED, None
        call.started_at = call.started_at or entry.at
    elif entry.kind == Kind.CALL_OUTCOME:
        call.state = CallState(body.get("state") or CallState.SUCCEEDED)
        call.started_at = call.started_at or body.get("started_at")
        call.ended_at = body.get("ended_at") or entry.at
        call.error, call.refused = body.get("error"), body.get("refused")
    else:
        call.verdict = {**body, "at": entry.at}
        call.verdict.pop("value", None)


def _fold_steps(entries: Iterable[Entry], manifest: Manifest | None, execution: Execution) -> list[StepHistory]:
    steps: dict[str, StepHistory] = {}
    sent: dict[str, int] = {}
    for step in manifest.steps if manifest else ():
        sent[step.name] = sum(1 for c in step.cells if c.source.strip())
        steps[step.name] = StepHistory(id=step.name, cells=sent[step.name], teardown_of=step.teardown_of)
    done: dict[str, set[str]] = {}
    for entry in entries:
        if entry.step is None:
            continue
        found = steps.get(entry.step)
        if found is None:
            if entry.step in ("parameters", "setup") and manifest is not None and entry.kind != Kind.STEP_FAILED:
                continue
            found = steps[entry.step] = StepHistory(id=entry.step)
        _fold_step(found, entry, done.setdefault(entry.step, set()))
    if execution.status in (Status.RUNNING, Status.SUSPENDED, Status.PAUSED, Status.FAILED, Status.CANCELLED):
        _mark_begun(list(steps.values()), execution)
    return list(steps.values())


def _fold_step(step: StepHistory, entry: Entry, done: set[str]) -> None:
    body = entry.data if entry.kind not in (Kind.CALL_INTENT, Kind.CALL_OUTCOME) else {}
    if step.started_at is None:
        step.started_at = body.get("started_at") or entry.at
    if entry.kind == Kind.CELL_COMPLETED:
        done.add(entry.key or "")
        step.cells_done, step.attempts = len(done), max(step.attempts, int(body.get("attempt") or 1))
        step.cells = max(step.cells, len(done))
        step.ended_at = body.get("ended_at") or entry.at
        step.error = None
        step.state = "succeeded" if body.get("last") or len(done) >= step.cells else "pending"
    elif entry.kind == Kind.STEP_FAILED:
        step.state, step.error, step.ended_at = "failed", body.get("error"), entry.at
        step.attempts = max(step.attempts, int(body.get("attempt") or 1))
    elif entry.kind == Kind.STEP_STARTED:
        step.attempts = max(step.attempts, int(body.get("attempt") or 1))
    elif entry.kind == Kind.STEP_SKIPPED:
        step.state, step.reason, step.ended_at = "skipped", body.get("reason"), entry.at
    elif entry.kind == Kind.STEP_RESET:
        done.clear()
        step.state, step.cells_done, step.started_at, step.ended_at = "pending", 0, None, None


def _mark_begun(steps: list[StepHistory], execution: Execution) -> None:
    """A step with traces and no end is where the execution is (or was when it stopped)."""
    begun = [s for s in steps if s.state == "pending" and s.started_at is not None]
    if execution.status == Status.RUNNING:
        for step in begun or [s for s in steps if s.state == "pending" and s.teardown_of is None][:1]:
            step.state = "running"
    elif execution.status == Status.SUSPENDED:
        for step in begun:
            step.state = "suspended"

"""What a driver hears of the steps it lets run, in the order in which it happened."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.engine.watcher import Failure, Watcher
from holdfast.foundation import clock
from holdfast.model.execution import Execution
from holdfast.model.manifest import Manifest, Step

#: Seconds between two changes of a display that are told: a bar moves several times a second.
_BETWEEN_UPDATES = 5.0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened while a step ran."""

    step: str  # empty: of the whole execution
    what: str  # "attempt" | "output" | "updated" | "running" | "note" | "failed" (another attempt follows)
    text: str = ""
    output: Any = None  # an nbformat output
    attempt: int = 0


class Stood(msgspec.Struct, frozen=True, kw_only=True):
    """How a step stands when the driver is through with it.

    ``state``: ``succeeded | skipped | tolerated | failed | suspended | paused | stopped``; ``tolerated``: it failed, and its author
    says to go on;
    ``paused``, ``stopped``: a person holds the execution, or it ended, before the step was done.
    """

    step: str
    state: str
    failure: Failure | None = None
    reason: str = ""
    due_at: float | None = None  # seconds since the epoch: when a suspended one goes on by itself
    attempts: int = 1
    outputs: tuple[Any, ...] = ()  # nbformat outputs of its cells, in order


class News(Watcher):
    """A watcher that keeps what it hears until it is asked.

    Args:
        hold_for: seconds; a retry that is further away counts as a suspension.
    """

    def __init__(self, hold_for: float) -> None:
        self._hold_for = hold_for
        self._waiting: deque[Told | Stood] = deque()
        self._changed = threading.Condition()
        self._outputs: dict[str, list[Any]] = {}
        self._attempts: dict[str, int] = {}
        self._step_of: dict[int, str] = {}
        self._updated: dict[str, float] = {}  # step -> when the last change of a display was told
        self._displayed: dict[str, str] = {}  # step -> what was shown last, as text
        self._reasons: dict[str, str] = {}  # of steps that wait
        self.stood: dict[str, Stood] = {}  # of what was taken so far
        self.owned = threading.Event()
        self.manifest: Manifest | None = None

    # ---- the scheduler's side

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that a scheduler may ask for, once the execution is owned: all but teardowns."""
        return tuple(s for s in self.manifest.steps if s.teardown_of is None) if self.manifest else ()

    def outputs(self, step: str) -> list[Any]:
        """What the step showed in this process."""
        return list(self._outputs.get(step, ()))

    def take(self, timeout: float) -> Told | Stood | None:
        """The next thing; None when nothing happens for ``timeout`` seconds. What is printed in pieces meanwhile comes as one."""
        with self._changed:
            if not self._waiting and not (timeout and self._changed.wait_for(lambda: self._waiting, timeout)):
                return None
            first = self._waiting.popleft()
        if isinstance(first, Stood):
            self.stood[first.step] = first
        elif first.what == "attempt":  # one that was suspended may have gone on
            self.stood.pop(first.step, None)
        return first

    def drain(self) -> Iterator[Told | Stood]:
        """What has happened and was not taken."""
        while (one := self.take(0.0)) is not None:
            yield one

    # ---- the engine's side

    def started(self, execution: Execution, manifest: Manifest, notebook: Any, resumed: bool) -> None:
        """The engine owns the execution."""
        self.manifest = manifest
        self.owned.set()

    def step_started(self, step: str, attempt: int, recorded: bool) -> None:
        """An attempt begins: what an earlier one showed is gone."""
        self._outputs[step], self._attempts[step] = [], attempt
        if not recorded:
            self._put(Told(step=step, what="attempt", attempt=attempt))

    def cell_started(self, index: int, step: str) -> None:
        """Outputs name the cell only."""
        self._step_of[index] = step

    def output(self, index: int, output: Any) -> None:
        """A cell printed or showed something."""
        step = self._step_of.get(index, "")
        shown = self._outputs.setdefault(step, [])
        joined = _joined(shown[-1], output) if shown else None
        if joined is None:
            shown.append(output)
        else:
            shown[-1] = joined
        self._displayed[step] = _plain(output)
        self._put(Told(step=step, what="output", output=output))

    def updated(self, index: int, output: Any) -> None:
        """A display changed: the last state counts, and not every one is told."""
        step, now = self._step_of.get(index, ""), clock.monotonic()
        told = _plain(output)
        if told and told == self._displayed.get(step):
            return  # only how it looks has changed: the card of a question
        if now - self._updated.get(step, 0.0) >= _BETWEEN_UPDATES:
            self._updated[step], self._displayed[step] = now, told
            self._put(Told(step=step, what="updated", output=output))

    def note(self, text: str) -> None:
        """For people."""
        self._put(Told(step="", what="note", text=text))

    def step_waits(self, step: str, reason: str) -> None:
        """The step is about to be suspended."""
        self._reasons[step] = reason

    def step_ended(self, step: str, state: str, failure: Failure | None, retry_at: float | None) -> None:
        """A step came to a state, or to its next attempt."""
        if state == "failed" and retry_at is not None and retry_at - clock.now() <= self._hold_for:
            what = failure.headline if failure else "failed"
            self._put(Told(step=step, what="failed", text=f"{what}; the next attempt starts at {clock.iso(retry_at)}"))
            return
        reason = failure.headline if failure and state == "failed" else self._reasons.pop(step, "")
        if state == "failed" and retry_at is not None:
            state, reason = "suspended", f"{reason}; the next attempt starts at {clock.iso(retry_at)}"
        elif state == "failed" and self._tolerates(step):
            state = "tolerated"
        stood = Stood(
            step=step,
            state=state,
            failure=failure,
            reason=reason,
            due_at=retry_at,
            attempts=self._attempts.get(step, 1),
            outputs=tuple(self._outputs.get(step, ())),
        )
        self._put(stood)

    def _tolerates(self, step: str) -> bool:
        known = self.manifest.step(step) if self.manifest else None
        return known is not None and known.policy.on_failure not in ("suspend", "stop")

    def _put(self, one: Told | Stood) -> None:
        with self._changed:
            last = self._waiting[-1] if self._waiting else None
            if isinstance(last, Told) and isinstance(one, Told) and last.step == one.step:
                joined = _joined(last.output, one.output)
                if joined is not None:  # nobody has taken it yet: whoever writes slowly gets fewer and longer pieces
                    self._waiting.pop()
                    one = Told(step=one.step, what="output", output=joined)
            self._waiting.append(one)
            self._changed.notify()


def _plain(output: Any) -> str:
    """What a display shows, as plain text: as it is now, for a change of it may be made in place."""
    text = (output.get("data") or {}).get("text/plain") or ""
    return "".join(text)


def _joined(first: Any, second: Any) -> dict[str, Any] | None:
    """Two pieces of one stream as one; None when they are not that."""
    if not first or not second or first.get("output_type") != "stream" or second.get("output_type") != "stream":
        return None
    return {**first, "text": first["text"] + second["text"]} if first.get("name") == second.get("name") else None

"""Taking a runbook through its rehearsal: run, be killed, resume, be answered, to the end."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.entry import Entry, Kind
from holdfast.model.prompt import Prompt
from holdfast.prompts.answering import answer
from holdfast.prompts.listing import list_prompts
from holdfast.testing.rehearsal import Stage
from holdfast.testing.sandbox import Result, Sandbox

EXECUTION = "rehearsal"
_ENDED = ("succeeded", "failed", "cancelled")
#: Fault point -> the kind of entry that is written once for each time it is passed.
_PASSES = {
    "call.after_intent": Kind.CALL_INTENT,
    "call.after_effect": Kind.CALL_OUTCOME,
    "call.after_outcome": Kind.CALL_OUTCOME,
    "checkpoint.before_commit": Kind.CELL_COMPLETED,
    "step.after_commit": Kind.CELL_COMPLETED,
    "prompt.after_open": Kind.PROMPT_OPENED,
    "prompt.before_take": Kind.PROMPT_ANSWERED,
    "timer.after_set": Kind.TIMER_SET,
    "timer.after_fire": Kind.TIMER_FIRED,
}


class Performance:
    """One execution of a runbook on its stage.

    Args:
        book: the notebook.
        stage: where.
        folder: for journal and outputs.
        tell: is told what happens, a sentence at a time.
    """

    def __init__(self, book: Path, stage: Stage, folder: Path, tell: Callable[[str], object] = lambda said: None) -> None:
        self.book, self.stage, self.tell = book, stage, tell
        quick = {"HOLDFAST_HOLD_FOR": "0", "HOLDFAST_STATE_DIR": str(folder / ".holdfast"), "HOLDFAST_USER": "starter"}
        self.sandbox, self.execution = self.stand(folder, {**quick, **stage.environment}), EXECUTION
        self._waited = 0

    def stand(self, folder: Path, environment: dict[str, str]) -> Sandbox:
        """Where it happens."""
        return Sandbox(folder, environment=environment)

    def play(self, faults: str = "", rounds: int = 60) -> str:
        """Take the execution to its end; returns its status.

        Args:
            faults: where the power is cut (:mod:`holdfast.foundation.faults`).
            rounds: resumes at most; an AssertionError after that.
        """
        self._command(faults)
        for _ in range(rounds):
            status = self.sandbox.status(self.execution)
            if status:
                self.sandbox.assert_laws(self.execution)
            if status in _ENDED:
                return status
            if status == "suspended":
                self.while_it_waits()
            self._command(faults)
        raise AssertionError(f"no end after {rounds} rounds: {self.last}")

    def given(self) -> list[str]:
        """The parameters as words of a command."""
        return [w for name, value in self.stage.parameters.items() for w in ("-p", name, _word(value))]

    def _command(self, faults: str) -> None:
        struck = len(self.sandbox.struck())
        if self.sandbox.status(self.execution):
            self.last: Result = self.sandbox.holdfast("resume", self.execution, "--json", faults=faults, timeout=300)
        else:
            self.last = self.sandbox.holdfast("run", self.book, "--id", self.execution, *self.given(), "--json", faults=faults, timeout=300)
            assert self.last.status != 2, self.last
        for strike in self.sandbox.struck()[struck:]:
            self.tell(f"killed: {strike}")

    def while_it_waits(self) -> None:
        """What people and the world do while the execution is suspended, until it is due."""
        store = open_store(self.sandbox.journal, key_file=self.sandbox.key_file)
        try:
            count, self._waited = self._waited, self._waited + 1
            hurried = self.stage.meanwhile(count) if self.stage.meanwhile is not None else None
            prompts, said_something = list_prompts(store, execution=self.execution), False
            for prompt in prompts:
                said_something |= say(store, self.stage, prompt, self.tell)
            if not said_something and not hurried:
                assert self._due(store) or not prompts, f"nobody answers {[p.text for p in prompts]}"
                self._until_due(store)
        finally:
            store.close()

    def _due(self, store: Store) -> bool:
        """Whether anything will happen by itself."""
        return any(one.due_at is not None for one in store.pending(execution=self.execution))

    def _until_due(self, store: Store) -> None:
        moments = [one.due_at for one in store.pending(execution=self.execution) if one.due_at is not None]
        if moments:
            clock.sleep(max(0.0, min(moments) - clock.now()))


def say(store: Store, stage: Stage, prompt: Prompt, tell: Callable[[str], object]) -> bool:
    """Say to a question what the stage says is said; False when it says nothing."""
    said = next((given for part, given in stage.answers.items() if part in prompt.text), None)
    if said is None:
        return False
    clock.sleep(max(0.0, prompt.opened_at + said.after - clock.now()))
    for who in said.who:
        tell(f"{who} answers {said.verdict or json.dumps(said.value)} to: {prompt.text}")
        answer(store, prompt.id, said.verdict, value=said.value, who=who, via="rehearsal", why=said.why, typed=said.typed)
    return True


def cut(point: str, share: float, entries: list[Entry]) -> str:
    """The fault that kills engine and kernel at a point, after this share of the times that one process passed it.

    Args:
        share: from 0 (the first time) to 1 (the last time).
        entries: of an execution that was not killed. Empty when it never passed the point.
    """
    passed: Counter[int | None] = Counter(e.fence for e in entries if e.kind == _PASSES[point] and not e.data.get("cheap"))
    most = max([n for fence, n in passed.items() if fence is not None], default=1 if passed else 0)
    return f"{point}@{max(1, math.ceil(share * most))}=kill-both-once" if most else ""


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

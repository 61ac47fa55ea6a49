"""Which step comes next, and in which kernel: the order of an execution, without any process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from holdfast.model.manifest import Manifest, Step


class StepState(StrEnum):
    """``pending -> running -> succeeded | failed | skipped``; ``suspended`` goes on in a later kernel."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    SUSPENDED = "suspended"


class Plan:
    """The steps of one execution and how far each has come.

    Teardowns are no part of it: they are offered to people, never run by themselves.

    Args:
        manifest: the runbook.
        pools: how many steps of a pool may run at a time; 1 for a pool not named here.
        undo: teardown steps that a person asked for, in their order; they are all that is still to run.
    """

    def __init__(self, manifest: Manifest, pools: dict[str, int] | None = None, undo: Sequence[str] = ()) -> None:
        self.steps = [s for s in manifest.steps if s.teardown_of is None]
        self._ancestors = {s.name: manifest.ancestors(s.name) for s in self.steps}
        self.undo = tuple(undo)
        after = tuple(s.name for s in self.steps)
        for step in (s for name in undo if (s := manifest.step(name)) is not None and s.teardown_of is not None):
            self.steps.append(msgspec.structs.replace(step, after=after))
            undone = {*manifest.ancestors(step.teardown_of or ""), step.teardown_of}
            self._ancestors[step.name] = tuple(s.name for s in manifest.steps if s.name in undone)
            after = (step.name,)
        self._by_name = {s.name: s for s in self.steps}
        self._pools = pools or {}
        self.states = {s.name: StepState.PENDING for s in self.steps}
        self.tolerated: set[str] = set()  # failed, and the author said to continue
        self.stopping = False  # a step failed, or somebody asked to stop: nothing new begins
        self.closing = False  # only the steps tagged `always` are still to run

    def only_undo(self, complete: Callable[[Step], bool]) -> None:
        """Leave out all ordinary steps that are not complete."""
        self.stopping = False
        for step in self.steps:
            if step.name not in self.undo:
                self.states[step.name] = StepState.PENDING if complete(step) else StepState.SKIPPED

    def ancestors(self, name: str) -> tuple[str, ...]:
        """The steps before ``name`` that have left state behind, in notebook order."""
        return tuple(a for a in self._ancestors[name] if self.states.get(a) == StepState.SUCCEEDED)

    def ready(self) -> list[Step]:
        """Steps that may begin now, in notebook order."""
        found: list[Step] = []
        taken: dict[str, int] = {}
        for step in self.steps:
            if self.states[step.name] == StepState.RUNNING and step.policy.pool:
                taken[step.policy.pool] = taken.get(step.policy.pool, 0) + 1
        for step in self.steps:
            if self.states[step.name] != StepState.PENDING or not self._may_begin(step):
                continue
            pool = step.policy.pool
            if pool is not None:
                if taken.get(pool, 0) >= self._pools.get(pool, 1):
                    continue
                taken[pool] = taken.get(pool, 0) + 1
            found.append(step)
        return found

    def _may_begin(self, step: Step) -> bool:
        if self.closing:  # one after the other: what they clean up after is over
            return step.always and not self.running
        if self.stopping:
            return False
        return all(self._passed(a) for a in step.after)

    def _passed(self, name: str) -> bool:
        """Whether what waits for the step may begin; one that is left out stands for what it waits for itself."""
        if self.states[name] == StepState.SKIPPED:
            return all(self._passed(a) for a in self._by_name[name].after)
        return self.states[name] == StepState.SUCCEEDED or name in self.tolerated

    @property
    def running(self) -> list[str]:
        """Steps under way."""
        return [n for n, s in self.states.items() if s == StepState.RUNNING]

    def begin(self, name: str) -> None:
        """The step was given to a kernel."""
        self.states[name] = StepState.RUNNING

    def end(self, name: str, state: StepState) -> None:
        """The step came to a state; PENDING again means: another attempt follows."""
        self.states[name] = state

    def failed(self, name: str) -> list[str]:
        """The step failed for good: do what its author said.

        Returns:
            the steps that are skipped because of it (``on_failure: STEP`` goes on there and leaves out what lies between).
        """
        self.states[name] = StepState.FAILED
        where = self._by_name[name].policy.on_failure
        if self.closing or where in ("suspend", "stop"):
            self.stopping = True
            return []
        self.tolerated.add(name)
        if where == "continue" or where not in self._by_name:
            return []
        target = self._by_name[where]
        kept = {where, *self._below(where)}
        skipped = [n for n in self._below(name) if n not in kept and self.states[n] == StepState.PENDING]
        if self.states[where] != StepState.PENDING or name not in self._ancestors[target.name]:
            skipped = []
        for one in skipped:
            self.states[one] = StepState.SKIPPED
        return skipped

    def close(self) -> bool:
        """Nothing more will begin but the ``always`` steps; returns whether there are any left."""
        self.closing = True
        return any(s.always and self.states[s.name] == StepState.PENDING for s in self.steps)

    def _below(self, name: str) -> list[str]:
        return [s.name for s in self.steps if name in self._ancestors[s.name]]

    @property
    def failures(self) -> list[str]:
        """Steps that failed for good and whose failure was not tolerated."""
        return [n for n, s in self.states.items() if s == StepState.FAILED and n not in self.tolerated]

    @property
    def finished(self) -> bool:
        """Whether every step is done, skipped or tolerated."""
        return all(s in (StepState.SUCCEEDED, StepState.SKIPPED) or n in self.tolerated for n, s in self.states.items())


class HasState(Protocol):
    """A kernel, as far as choosing goes."""

    holds: set[str]
    dirty: bool


def suits(kernel: HasState, ancestors: Collection[str]) -> bool:
    """Whether the kernel's namespace holds nothing but what comes before the step."""
    return not kernel.dirty and kernel.holds <= set(ancestors)


def choose(idle: Iterable[HasState], ancestors: Collection[str]) -> HasState | None:
    """The idle kernel with the most of the needed state in it and nothing else; None when there is none."""
    fit = [k for k in idle if suits(k, ancestors)]
    return max(fit, key=lambda k: len(k.holds), default=None)

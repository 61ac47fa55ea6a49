"""Where an outside scheduler holds the engine: a step begins when the scheduler says so, besides when its order allows it."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.engine.plan import Plan
from holdfast.model.manifest import Step


class Gate:
    """Steps pass once they are released; those that the journal has as completed always pass. Safe from any thread."""

    def __init__(self) -> None:
        self._released: set[str] = set()
        self._closed = False
        self._wake: Callable[[], None] = lambda: None

    def attach(self, wake: Callable[[], None]) -> None:
        """Called by the worker: how it is told that something changed."""
        self._wake = wake
        wake()

    def release(self, step: str) -> None:
        """Let ``step`` begin."""
        self._released.add(step)
        self._wake()

    def close(self) -> None:
        """Nothing more will be released: the worker ends when what was released is done."""
        self._closed = True
        self._wake()

    def passes(self, step: str) -> bool:
        """Whether ``step`` was released."""
        return step in self._released

    def waits(self, plan: Plan, may_begin: Callable[[Step], bool]) -> bool:
        """Whether nothing can go on before another step is released (and one still may be)."""
        if self._closed or plan.stopping or plan.closing or plan.finished:
            return False
        return not any(step.name in self._released and may_begin(step) for step in plan.ready())

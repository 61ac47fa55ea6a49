"""One execution worked on step by step, at the bidding of an outside scheduler (Dagster): the engine in a thread behind a gate."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.engine.beside import work_beside
from holdfast.engine.execute import execute, require
from holdfast.engine.gate import Gate
from holdfast.engine.telling import News, Stood, Told
from holdfast.engine.watcher import Failure, Result
from holdfast.errors import OperatorError
from holdfast.executions.evidence import outputs_of
from holdfast.executions.find import require_step
from holdfast.executions.history import history
from holdfast.executions.requests import Asked
from holdfast.foundation import clock, durations
from holdfast.journal.store import Store
from holdfast.model.entry import Kind
from holdfast.model.execution import BETWEEN, Status

#: Seconds between two looks at whether the engine is still there.
_LOOK = 0.2
#: Seconds after which a step that goes on is said to; again after twice as long, and so on.
_FIRST_WORD = 60.0


class Driver:
    """Works on ``id`` from :meth:`start` to :meth:`finish`; the lease is held as long.

    Args:
        store, config: the installation.
        id: of the execution.
        by_person: somebody said "go on" (see :func:`holdfast.engine.execute.execute`).
        label: what this worker is, for people.
        beside: work on this step alone, while other processes work on others (see :mod:`holdfast.engine.beside`).
    """

    def __init__(
        self, store: Store, config: Config, id: str, *, by_person: bool = True, label: str = "driver", beside: str | None = None
    ) -> None:
        self._store, self._config, self.execution = store, config, id
        self._by_person, self._label, self._beside = by_person, label, beside
        self._gate, self._news = Gate(), News(config.hold_for)
        self._kept: dict[str, deque[Told]] = {}  # step -> what was told of it while another one was asked for
        self._over = threading.Event()
        self._ask: Callable[[Asked], None] | None = None
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=f"driver-{id}", daemon=True)

    def start(self) -> None:
        """Take the execution. Returns when it is owned, or there is nothing to do for it.

        Raises:
            OperatorError: HF250, another worker has it.
            HoldfastError: something else stands in the way.
        """
        self._thread.start()
        while not self._news.owned.is_set() and not self._over.wait(0.01):
            pass
        self._raise()

    def step(self, name: str) -> Iterator[Told | Stood]:
        """Let the step begin and tell what happens; the last item is its :class:`Stood`.

        Raises:
            LookupFailedError: HF603, the execution's notebook has no such step (or it is a teardown, which only people start).
            OperatorError: HF253, it comes after a step that was not run, and that the scheduler did not let begin.
            Fenced: another worker has taken the execution over.
            HoldfastError: the installation stands in the way.
        """
        news = self._news
        if news.manifest is not None:
            require_step(msgspec.structs.replace(news.manifest, steps=news.steps), name, self.execution)
            self._require_way(name)
        self._gate.release(name)
        if self._beside is not None:
            self._gate.close()
        for kept in (name, ""):
            yield from self._kept.pop(kept, ())
        began, pause = clock.monotonic(), _FIRST_WORD
        while name not in news.stood:
            over = self._over.is_set()
            one = news.take(0.0 if over else _LOOK)
            if one is None and over:
                break
            if (spent := clock.monotonic() - began) >= pause:
                pause *= 2
                yield Told(step=name, what="running", text=f"{name} has been running for {durations.text(round(spent))}")
            if isinstance(one, Told) and one.step in (name, ""):
                yield one
            elif isinstance(one, Told):
                self._keep(one)
        self._raise()
        yield news.stood.get(name) or self._after_the_end(name)

    def went_on(self, step: str) -> bool:
        """Whether a step that was suspended has gone on since, beside another one: then :meth:`step` tells how."""
        for one in self._news.drain():
            if isinstance(one, Told):
                self._keep(one)
        return any(told.what == "attempt" for told in self._kept.get(step, ()))

    def _keep(self, one: Told) -> None:
        self._kept.setdefault(one.step, deque()).append(one)

    def _require_way(self, name: str) -> None:
        """What the step comes after must have been let begin, or be done: else it would wait for ever."""
        assert self._news.manifest is not None
        known = self._news.manifest.step(name)
        if known is None or known.always:
            return
        open_ones = [a for a in known.after if a not in self._news.stood and not self._gate.passes(a)]
        if not open_ones:
            return
        # of a running execution the first pending step counts as running, though nobody let it begin
        begun = {s.id for s in history(self._store, require(self._store, self.execution)).steps if s.started_at is not None}
        missing = [a for a in open_ones if a not in begun]
        if missing:
            raise OperatorError(
                "HF253",
                f"the step comes after {', '.join(missing)}, which this execution has not run",
                cure="Select these steps, too, or run it again from an execution that has run them.",
                execution=self.execution,
                step=name,
            )

    def ask(self, what: str, *, why: str = "", at_once: bool = False, stays: bool = True) -> None:
        """``pause`` or ``cancel``, as a person would; nothing happens when the engine is through."""
        if self._ask is not None:
            self._ask(Asked(what=what, who=self._config.user, why=why, at_once=at_once, stays=stays))

    def finish(self, goes_on: str = "") -> Result:
        """Let nothing more begin; returns how the execution stands, once that is written and the lease is free.

        An execution that could go on, but is left with steps that were never let begin, is paused.

        Args:
            goes_on: why they were not, when the next driver is to begin them without a person's word.

        Raises:
            Fenced, HoldfastError: as :meth:`step`.
        """
        list(self._news.drain())
        stood = self._news.stood
        waits = any(s.state in ("suspended", "failed") for s in stood.values())
        if self._beside is None and not waits and any(s.name not in stood for s in self._news.steps):
            self.ask("pause", why=goes_on or "the scheduler let no further step begin", stays=not goes_on)
        self._gate.close()
        self._thread.join()
        self._raise()
        assert self._result is not None
        return self._result

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _after_the_end(self, name: str) -> Stood:
        """The engine is through and never came to the step: what the journal says of it, or why it will not run."""
        header = require(self._store, self.execution)
        known = next((s for s in history(self._store, header).steps if s.id == name), None)
        if known is not None and known.state in ("succeeded", "skipped"):
            outputs = tuple(self._news.outputs(name) or self._recorded(name))
            return Stood(step=name, state=known.state, reason=known.reason or "", attempts=known.attempts or 1, outputs=outputs)
        if known is not None and known.state == "failed" and header.status == Status.FAILED:
            error = known.error or {}
            failure = Failure(step=name, type=str(error.get("type") or "Error"), what=str(error.get("what") or ""), code=error.get("code"))
            return Stood(step=name, state="failed", failure=failure, attempts=known.attempts)
        if header.status == Status.SUSPENDED:
            if self._beside is not None and header.reason == BETWEEN and self._news.manifest is not None:
                self._require_way(name)
            return Stood(step=name, state="suspended", reason=header.reason, due_at=header.due_at)
        reason = f"the execution is {header.status}" + (f": {header.reason}" if header.reason else "")
        return Stood(step=name, state="paused" if header.status == Status.PAUSED else "stopped", reason=reason)

    def _recorded(self, name: str) -> list[Any]:
        last = {e.key: e for e in self._store.read(self.execution, step=name, kinds=(Kind.CELL_COMPLETED,))}
        return [output for entry in last.values() for output in outputs_of(self._store, entry.data.get("outputs"))]

    def _work(self) -> None:
        try:
            given: dict[str, Any] = {
                "watchers": (self._news,),
                "by_person": self._by_person,
                "label": self._label,
                "reins": self._take_reins,
                "gate": self._gate,
            }
            if self._beside is not None:
                self._result = work_beside(self._store, self._config, self.execution, self._beside, **given)
            else:
                self._result = execute(self._store, self._config, self.execution, **given)
        except BaseException as error:  # Fenced is one; whoever drives hears of it
            self._error = error
        finally:
            self._over.set()

    def _take_reins(self, ask: Callable[[Asked], None]) -> None:
        self._ask = ask

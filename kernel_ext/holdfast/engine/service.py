"""A worker that serves: it finds executions that may go on, or whose worker is gone, and works on several at a time. Any number of them
may run on any number of machines; the lease decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.engine.execute import execute
from holdfast.engine.nursing import Nursery, usable
from holdfast.engine.watcher import Result
from holdfast.errors import Fenced, OperatorError, StoreError
from holdfast.executions import stopping, waking
from holdfast.executions.requests import Asked
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.prompts.answering import end_with
from holdfast.prompts.expiring import expire_due

#: Seconds between two looks for what is due: by index, a fraction of a millisecond each.
LOOK = 0.25
#: Seconds between two looks for what was left behind.
SWEEP = 5.0
#: The longest pause before an execution is tried again that cannot be worked on for a reason that lies in the installation.
MOST_PATIENCE = 60.0
#: Seconds for which an execution is left to somebody else who has claimed it.
CLAIMED = 2.0
#: Seconds that a scheduler has to continue its own executions before it is told to, and until it is told again.
SCHEDULER_LOOKS, TOLD = 1.0, 30.0
#: Seconds after which a worker continues what a scheduler of another machine should have continued.
ABANDONED = 600.0
_PAGES = 5


class Service:
    """Works until it is told to stop.

    Args:
        store, config: the installation.
        concurrency: how many executions at a time.
        warm: fork kernels from a nursery.
        tell: hears of every execution that is begun, left or refused: (id, what, details).
        beside: what else is done at every look, before it: quick, and only ``StoreError`` may come out of it.
        courtesy: seconds for which a scheduler may begin what a rule started.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        concurrency: int = 4,
        warm: bool = False,
        tell: Callable[[str, str, Any], None] = lambda *_: None,
        beside: Callable[[], object] = lambda: None,
        courtesy: float = 0.0,
    ) -> None:
        self._store, self._config, self._concurrency, self._tell = store, config, concurrency, tell
        self._beside, self._courtesy = beside, courtesy
        self._nursery = Nursery(config.process_environment()) if warm and usable() and config.kernel_nursery is None else None
        if self._nursery is not None:
            self._config = msgspec.structs.replace(config, kernel_nursery=self._nursery.place)
        self._owner = this_process("worker").text
        self._running: dict[str, threading.Thread] = {}
        self._asks: dict[str, Callable[[Asked], Any]] = {}
        self._refused: dict[str, int] = {}  # how often in a row
        self._turns: dict[str, tuple[float | None, int]] = {}  # when what was left suspended was due, and how often in a row
        self._left: dict[str, float] = {}  # not to be looked at before then
        self._lock = threading.Lock()
        self._wake, self._stopped, self._finishing = threading.Event(), False, False
        self._sweep_at = float("-inf")
        self._away = 0  # looks in a row that did not reach the journal

    def stop(self, why: str = "the worker was told to end") -> None:
        """Begin nothing more and let go of what runs, for another worker to take over. From any thread, also from a signal handler."""
        self._stopped = True
        for ask in list(self._asks.values()):
            ask(self._go(why))
        self._wake.set()

    def finish(self) -> None:
        """Begin nothing more, and end when what runs has come to its end. From any thread."""
        self._finishing = True
        self._wake.set()

    def run(self, *, once: bool = False, idle: float = float("inf")) -> None:
        """Work.

        Args:
            once: come back when nothing more can be worked on now.
            idle: come back when nothing was worked on for so many seconds.

        Raises:
            StoreError: with ``once``: the journal cannot be reached.
        """
        try:
            self._run(once, idle)
            for thread in list(self._running.values()):
                thread.join()
        finally:
            if self._nursery is not None:
                self._nursery.stop()

    def _run(self, once: bool, idle: float) -> None:
        busy = clock.monotonic()
        while not self._stopped and not (self._finishing and not self._running):
            try:
                if self._nursery is not None:
                    self._nursery.look()
                began = self._look()
                self._away = 0
            except StoreError as error:
                if once:
                    raise
                self._away += 1
                if self._away == 1:
                    self._tell("", "journal", error)
                began = False
            if began or self._running:
                busy = clock.monotonic()
            elif once or clock.monotonic() - busy > idle:
                return
            self._wake.wait(min(LOOK * 2**self._away, 10.0))
            self._wake.clear()

    # ---- finding

    def _look(self) -> bool:
        self._beside()
        now = clock.monotonic()
        self._left = {id: until for id, until in self._left.items() if until > now}
        lost: list[Execution] = []
        if now >= self._sweep_at:
            stopping.settle(self._store, self._config, end_with=end_with, who=self._config.user)
            expire_due(self._store, noticed_by="worker")
            lost = [h for h in waking.orphans(self._store) if h.id not in self._left]
            # ten thousand parents that wait take their time: what is swept up is a rest that some crash has left
            self._sweep_at = now + max(SWEEP, 50 * (clock.monotonic() - now))
        began = False
        for header in lost:
            began = (self._room() > 0 and self._ours(header) and self._begin(header)) or began
        for _ in range(_PAGES):  # what is not ours is passed by
            room = self._room()
            found = waking.due(self._store, queued=True, leave={*self._running, *self._left}, limit=room) if room > 0 else []
            for header in found:
                began = (self._ours(header) and self._claim(header) and self._begin(header)) or began
            if len(found) < room or not found:
                break
        return began

    def _room(self) -> int:
        return 0 if self._stopped or self._finishing else self._concurrency - len(self._running)

    def _ours(self, header: Execution) -> bool:
        """Whether a worker continues it. A scheduler continues what it drives, and is told so when it does not notice."""
        if header.id in self._running:
            return False
        if header.mode != Mode.BATCH:  # a person goes on with it
            self._store.append(header.id, (), fence=None, change=Change(due_at=0))
            return False
        scheduler = waking.scheduler_of(self._store, header.id)
        if scheduler is None:
            return not self._a_rules(header)
        late = self._store.now() - (header.due_at or header.updated_at)
        if not scheduler.here:
            self._leave(header, SCHEDULER_LOOKS * 10)
            return late > ABANDONED
        if late < SCHEDULER_LOOKS:
            self._leave(header, SCHEDULER_LOOKS)
            return False
        self._leave(header, TOLD)
        if waking.tell(scheduler, self._config):
            self._tell(header.id, "told", scheduler)
            return False
        return True

    def _a_rules(self, header: Execution) -> bool:
        """Whether a rule has just started it, and a scheduler is given the time to begin it."""
        if header.status != Status.QUEUED or not (header.key or "").startswith("rule/"):
            return False
        fresh = self._store.now() - header.created_at < self._courtesy
        if fresh:
            self._leave(header, SCHEDULER_LOOKS)
        return fresh

    def _claim(self, header: Execution) -> bool:
        claimed = waking.claim_wake_up(self._store, header.id, self._owner)
        if not claimed:
            self._leave(header, CLAIMED)
        return claimed

    def _leave(self, header: Execution, seconds: float) -> None:
        self._left[header.id] = clock.monotonic() + seconds

    # ---- working

    def _begin(self, header: Execution) -> bool:
        point("worker.before_begin")
        thread = threading.Thread(target=self._work, args=(header,), name=f"work-{header.id}", daemon=True)
        with self._lock:
            self._running[header.id] = thread
        self._tell(header.id, "begun", header)
        thread.start()
        return True

    def _work(self, header: Execution) -> None:
        def reins(ask: Callable[[Asked], Any]) -> None:
            self._asks[header.id] = ask
            if self._stopped:
                ask(self._go("the worker was told to end"))

        try:
            result = execute(self._store, self._config, header.id, by_person=False, label="worker", reins=reins)
            self._refused.pop(header.id, None)
            if result.status == Status.SUSPENDED:
                self._leave(header, self._pause_after(result))
            else:
                self._turns.pop(header.id, None)
            self._tell(header.id, "left", result)
        except (OperatorError, Fenced) as error:
            if isinstance(error, Fenced) or error.code == "HF250":
                self._leave(header, CLAIMED)
                self._tell(header.id, "taken", error)
            else:
                self._refuse(header, error)
        except Exception as error:
            self._refuse(header, error)
        finally:
            self._asks.pop(header.id, None)
            with self._lock:
                self._running.pop(header.id, None)
            self._wake.set()

    def _pause_after(self, result: Result) -> float:
        """What is due at once again lets others have their turn first. What stays due (its machine's clock is behind the journal's) is
        not tried as fast as kernels start."""
        due_at, times = self._turns.get(result.execution, (None, 0))
        times = times + 1 if result.due_at is not None and result.due_at == due_at else 0
        self._turns[result.execution] = (result.due_at, times)
        return min(LOOK * 2.0**times, SWEEP)

    def _refuse(self, header: Execution, error: BaseException) -> None:
        times = self._refused.get(header.id, 0) + 1
        self._refused[header.id] = times
        self._leave(header, min(2.0 ** (times - 1), MOST_PATIENCE))
        self._tell(header.id, "refused", error)

    def _go(self, why: str) -> Asked:
        return Asked(what="pause", who=self._config.user, why=why, at_once=True, stays=False)

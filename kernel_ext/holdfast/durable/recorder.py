"""The recorder: makes each touch of the outside one call, recorded once and answered from the record ever after."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import msgspec

from holdfast.durable import current
from holdfast.durable.active import ActiveCell
from holdfast.durable.cell import CellContext, Summary
from holdfast.durable.conduct import Call, Play, conduct
from holdfast.durable.identity import call_hash
from holdfast.durable.index import Record
from holdfast.durable.interceptor import Attempt, Outcome, Request, Transient
from holdfast.durable.journaling import Journaling
from holdfast.durable.lanes import HERE, Here, carry_into_threads, restore_threads
from holdfast.durable.summaries import summarise
from holdfast.durable.verdicts import not_made
from holdfast.errors import AuthorError, Suspend
from holdfast.foundation import clock
from holdfast.journal.writer import Writer
from holdfast.model.call import Effect
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change
from holdfast.model.policy import Retry

T = TypeVar("T")

_ORDER = {Effect.READ: 0, Effect.IDEMPOTENT: 1, Effect.WRITE: 2}
_NOWHERE = Attempt(execution="", step="", call="", number=1, idempotency_key="")


class Recorder(Journaling):
    """One per kernel process; thread-safe. See :class:`Journaling` for its arguments."""

    _cell: ActiveCell | None = None
    _begin = threading.Lock()

    def attach(self, writer: Writer) -> None:
        super().attach(writer)
        current.install(self)

    # -- for the kernel ------------------------------------------------------------------------------------------------

    def begin(self, context: CellContext) -> None:
        """A cell is about to run.

        Raises:
            RuntimeError: another cell is being recorded, or no writer was attached.
        """
        with self._begin:
            if self._cell is not None:
                raise RuntimeError("a cell is being recorded already")
            current.install(self)
            carry_into_threads()
            self._cell, self.dry_run = ActiveCell(context, self.writer), context.dry_run

    def end(self) -> Summary:
        """The cell ended, however it did. The summary's ``drafts`` must be committed with what the kernel writes about the cell."""
        with self._begin:
            cell, self._cell = self._cell, None
            restore_threads()
        if cell is None:
            return Summary()
        return summarise(cell, self._committer.take())

    def stop(self) -> None:
        """The running cell was told to end. Should its code take no notice, it makes no more calls: each raises ``KeyboardInterrupt``."""
        if self._cell is not None:
            self._cell.stopped = True

    def forget(self) -> None:
        """In a forked child: record nothing."""
        self._cell = None
        HERE.set(None)
        current.install(None)

    def adopt_task(self) -> None:
        """The present asyncio task is the running cell's main line (a cell with top-level ``await`` gets a task of its own)."""
        cell = self._cell
        if cell is not None and threading.get_ident() == cell.main.thread:
            cell.main.adopt()

    @contextmanager
    def passthrough(self) -> Iterator[None]:
        """Holdfast's own work: nothing in this context is recorded, nor reported as undeclared."""
        token = HERE.set(Here(True, None, None, None))
        try:
            yield
        finally:
            HERE.reset(token)

    @contextmanager
    def restoring(self, context: CellContext) -> Iterator[None]:
        """Run a recorded cell again to make anew what could not be stored: calls made in this context (threads and tasks started
        here included) are answered from the record, whatever cell is running otherwise."""
        carry = self._cell is None
        if carry:
            carry_into_threads()
        token = HERE.set(Here(False, None, None, ActiveCell(msgspec.structs.replace(context, mode="restore"), self.writer)))
        try:
            yield
        finally:
            HERE.reset(token)
            if carry:
                restore_threads()

    # -- for interceptors ----------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether a cell is being recorded in this context and no outer call has already been recorded."""
        here = HERE.get()
        if here is None:
            return self._cell is not None
        return (not here.passing or here.reading) and (here.cell or self._cell) is not None

    @property
    def cell(self) -> ActiveCell | None:
        """The cell that calls made here belong to."""
        here = HERE.get()
        return self._cell if here is None else here.cell or self._cell

    def perform(
        self,
        request: Request,
        do: Callable[[Attempt], T],
        *,
        store: Callable[[T], Any] | None = None,
        load: Callable[[Any], T] | None = None,
        probe: Callable[[Attempt], Outcome | None] | None = None,
        transient: Callable[[T | None, BaseException | None], Transient | None] | None = None,
        failed: Callable[[Any], bool] | None = None,
        assumed: Callable[[Any], Any] | None = None,
        preview: Callable[[], tuple[T | None, str]] | None = None,
        retry: Retry | None = None,
    ) -> T:
        """See ``interceptor.Recorder.perform``."""
        __tracebackhide__ = True
        here = HERE.get()
        call = self._match(request, here)
        if call is None:
            if here is None or not here.reading:
                return do(_NOWHERE if here is None or here.attempt is None else here.attempt)
            with self._looking(here) as attempt:
                seen = do(attempt)
            return cast(T, _handed(seen, store, load))
        call.load = load
        record = call.record
        if record is not None and record.counts(call.cell.context):
            return cast(T, self._answer(call, record))
        call.goes(store, probe, transient, failed, assumed, preview, retry)
        if request.cheap:
            return cast(T, self._keep(call, do(_NOWHERE)))
        play = conduct(self, call)
        tried: tuple[Any, Exception | None] | None = None
        while True:
            try:
                with call.lane:
                    wanted = play.send(tried)
                    pause = self._bearable(call, wanted) if isinstance(wanted, float) else 0.0
            except StopIteration as done:
                return cast(T, done.value)
            if isinstance(wanted, float):
                clock.sleep(pause)
                tried = None
                continue
            token = HERE.set(Here(True, wanted, call.lane, call.cell))
            try:
                with call.lane:
                    tried = (do(wanted), None)
            except Exception as error:
                tried = (None, error)
            finally:
                HERE.reset(token)

    async def perform_async(
        self,
        request: Request,
        do: Callable[[Attempt], Awaitable[T]],
        *,
        store: Callable[[T], Any] | None = None,
        load: Callable[[Any], T] | None = None,
        probe: Callable[[Attempt], Outcome | None] | None = None,
        transient: Callable[[T | None, BaseException | None], Transient | None] | None = None,
        failed: Callable[[Any], bool] | None = None,
        assumed: Callable[[Any], Any] | None = None,
        preview: Callable[[], tuple[T | None, str]] | None = None,
        retry: Retry | None = None,
    ) -> T:
        """The same for a coroutine function."""
        __tracebackhide__ = True
        here = HERE.get()
        call = self._match(request, here)
        if call is None:
            if here is None or not here.reading:
                return await do(_NOWHERE if here is None or here.attempt is None else here.attempt)
            with self._looking(here) as attempt:
                seen = await do(attempt)
            return cast(T, _handed(seen, store, load))
        call.load = load
        record = call.record
        if record is not None and record.counts(call.cell.context):
            return cast(T, self._answer(call, record))
        call.goes(store, probe, transient, failed, assumed, preview, retry)
        if request.cheap:
            return cast(T, self._keep(call, await do(_NOWHERE)))
        play: Play = conduct(self, call)
        tried: tuple[Any, Exception | None] | None = None
        while True:
            try:
                with call.lane:
                    wanted = play.send(tried)
                    pause = self._bearable(call, wanted) if isinstance(wanted, float) else 0.0
            except StopIteration as done:
                return cast(T, done.value)
            if isinstance(wanted, float):
                await asyncio.sleep(pause)
                tried = None
                continue
            token = HERE.set(Here(True, wanted, call.lane, call.cell))
            try:
                with call.lane:
                    tried = (await do(wanted), None)
            except Exception as error:
                tried = (None, error)
            finally:
                HERE.reset(token)

    # -- within -----------------------------------------------------------------------------------------------------------

    def _match(self, request: Request, here: Here | None) -> Call | None:
        """The call to be made or answered; None to pass through."""
        if here is None:
            cell, lane = self._cell, None
        elif here.passing:
            if here.reading and request.effect != Effect.READ:
                raise AuthorError(
                    "HF163",
                    f"the condition of `wait_for` would change something: {self.redact(request.operation)}",
                    cure="Look only; do what changes something after `wait_for`. What only reads can be marked so: @call(effect='read').",
                    execution=self.execution,
                )
            return None
        else:
            cell, lane = here.cell or self._cell, here.lane
        if cell is None:
            return None
        if lane is None:
            lane = cell.main
        if lane.ended is not None:
            raise lane.ended
        if cell.stopped and not request.cheap:
            raise KeyboardInterrupt("the cell was told to end: it makes no more calls")
        with cell.lock:
            base = call_hash(cell.scope(lane), request.kind, request.fingerprint)
            record = cell.index.match(base)
            if not request.cheap:
                cell.calls += 1
        call = Call(request, cell, lane, base, record)
        call.ordered = lane.here()
        declared = cell.context.policy.effects
        if declared is not None and declared != "destructive" and _ORDER[Effect(declared)] < _ORDER[Effect(request.effect)]:
            call.effect = declared
        return call

    @contextmanager
    def _looking(self, here: Here) -> Iterator[Attempt]:
        """One look of ``wait_for``: as a call of its own to whoever performs it, and not recorded."""
        outer = here.attempt or _NOWHERE
        attempt = msgspec.structs.replace(outer, call=f"{outer.call}.{uuid.uuid4().hex[:8]}", number=1, resumed=False)
        token = HERE.set(Here(True, attempt, here.lane, here.cell))
        try:
            yield attempt
        finally:
            HERE.reset(token)

    def _answer(self, call: Call, record: Record) -> Any:
        """Hand over what is recorded."""
        __tracebackhide__ = True
        outcome = record.outcome or {}
        if not call.request.cheap:
            call.cell.replayed += 1
        if "error" in outcome:
            raise self.values.decode_error(outcome["error"])
        plain = self.values.decode(outcome["value"])
        return call.load(plain) if call.load is not None else plain

    def _keep(self, call: Call, result: Any) -> Any:
        """Record a reading of clock or random with the next commit."""
        context, request = call.cell.context, call.request
        not_made(self, call)
        if call.record is None:
            with call.cell.lock:
                call.record = call.cell.index.add(call.base)
        value = self.values.encode(call.store(result) if call.store is not None else result)
        record, at = call.record, clock.now()
        body = {
            "state": "succeeded",
            "value": value,
            "attempt": 1,
            "kind": request.kind,
            "operation": request.operation,
            "effect": Effect.READ,
            "cheap": True,
            "lane": call.ordered,
            "n": int(record.key.rpartition("~")[2]),
            "cell": context.cell,
            "source": context.source_digest,
            "step_attempt": context.step_attempt,
            "started_at": at,
            "ended_at": at,
        }
        self._committer.keep(Draft(kind=Kind.CALL_OUTCOME, step=context.step, key=record.key, body=self.encode(body)))
        plain = self.values.decode(value)
        return call.load(plain) if call.load is not None else plain

    def _bearable(self, call: Call, seconds: float) -> float:
        """``seconds``, unless that is too long to hold a kernel for."""
        if seconds <= self.hold:
            return seconds
        due_at = clock.now() + seconds
        self.flush()
        step = call.cell.context.step
        self.writer.append(
            Kind.NOTE,
            {"note": "retry_later", "operation": self.redact(call.request.operation), "due_at": due_at},
            step=step,
            key=call.known.key,
            change=Change(due_at=due_at),
        )
        raise Suspend(f"`{call.request.operation}` is to be tried again later", waiting_for="timer", due_at=due_at, step=step)


def _handed(seen: Any, store: Callable[[Any], Any] | None, load: Callable[[Any], Any] | None) -> Any:
    """What a look that is not recorded gives its caller: the same form that a recorded call does."""
    stored = store(seen) if store is not None else seen
    return load(stored) if load is not None else stored

"""``for_each``: one function over many items, each item recorded when it is done."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec

from holdfast.durable import canonical, current
from holdfast.durable.acting import Acting
from holdfast.durable.active import ActiveCell
from holdfast.durable.identity import call_hash
from holdfast.durable.lanes import HERE, Here, Lane
from holdfast.durable.progress import Progress
from holdfast.durable.recorder import Recorder
from holdfast.durable.results import Item, Results, short
from holdfast.durable.targets import Targets
from holdfast.durable.traces import leaves_traces
from holdfast.durable.values import text_of
from holdfast.errors import AuthorError, ForEachError, GuardrailError, Suspend, TerminalError
from holdfast.foundation import clock
from holdfast.model.entry import Draft, Kind


def for_each(
    items: Iterable[Any],
    function: Callable[[Any], Any],
    *,
    concurrency: int = 1,
    key: Callable[[Any], Any] | None = None,
    max_errors: int | str | None = None,
    on_error: Literal["raise", "collect"] = "raise",
    label: str | None = None,
    progress: bool = True,
) -> Results:
    """Call ``function(item)`` for each item. An item that is done is recorded and not done again when the step is resumed; the calls of an
    item under way are recorded one by one as everywhere.

    Args:
        items: any iterable; the same item may occur several times.
        function: called with one item; a coroutine function too.
        concurrency: how many items at a time, in threads (coroutines: in one thread). A slot is refilled as soon as it is free.
        key: what identifies an item (called with it); by default its content.
        max_errors: how many items may fail before no further one is started, a number or a share such as ``"10%"``. By default 0, and
            with ``on_error="collect"`` any number. An item that waits for a person counts as failed here.
        on_error: ``raise`` raises when more than ``max_errors`` failed; ``collect`` returns what there is.
        label: for people, and part of an item's identity; the function's name by default.
        progress: show a progress bar.

    Returns:
        the values in the order of the items, with ``failed``, ``succeeded`` and ``skipped``.

    Raises:
        ForEachError: HF304, more items failed than may; ``results`` has everything. AuthorError: HF150 an item cannot be recognised again;
        HF156 an argument is wrong. Suspend: an item waits for a person (after the items under way have ended).
    """
    among = items if isinstance(items, Targets) else None
    everything = list(items.items) if isinstance(items, Targets) else list(items)
    name = label or str(getattr(function, "__qualname__", type(function).__qualname__))
    limit = _limit(max_errors, on_error, len(everything))
    if concurrency < 1:
        raise AuthorError("HF156", f"concurrency is {concurrency}", cure="give 1 or more")
    loop = _Loop(name, function, Progress(len(everything), name, shown=progress), limit)
    loop.among = among
    loop.plan(everything, key or (among.label if among is not None else _itself))
    try:
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            loop.run_coroutines(concurrency)
        elif concurrency == 1:
            loop.run_here()
        else:
            loop.run_threads(concurrency)
    finally:
        loop.progress.close()
    return loop.finish(on_error)


class _Loop:
    """One ``for_each`` under way."""

    def __init__(self, name: str, function: Callable[[Any], Any], progress: Progress, limit: int | None) -> None:
        self.name, self.function, self.progress, self.limit = name, function, progress, limit
        self.recorder: Recorder | None = current.active()
        self.cell: ActiveCell | None = self.recorder.cell if self.recorder is not None else None
        here = HERE.get()
        above = here.lane if here is not None else None
        self.among: Targets | None = None  # the set that the items were chosen from
        self.scope = f"{above.scope}/" if above is not None and above.scope else "item:"
        self.items: list[Any] = []
        self.keys: list[str] = []
        self.results: dict[int, Item] = {}
        self.todo: list[int] = []
        self.troubles = 0  # failed items and those that wait for a person
        self.stop: BaseException | None = None  # what ends the loop for good
        self.waits: BaseException | None = None
        self.lock = threading.Lock()
        self.restored: ActiveCell | None = None  # the same cell as seen by items that are gone through again
        self._traces: bool | None = None

    def plan(self, items: list[Any], key: Callable[[Any], Any]) -> None:
        """Give each item its key, and take what is recorded."""
        self.items = items
        for index, item in enumerate(items):
            if self.recorder is None or self.cell is None:
                self.todo.append(index)
                continue
            content = canonical.digest(key(item), what=f"item {index} of {self.name} ({short(item)})")
            with self.cell.lock:
                scope = self.cell.scope(_lane_here(self.cell))
                item_key, body = self.cell.index.item(call_hash(scope, "item", self.name.encode() + b"\0" + content), self.scope)
            self.keys.append(item_key)
            if body is None:
                self.todo.append(index)
            elif body["state"] == "succeeded":
                value = self.recorder.values.decode(body["value"])
                self._settle(Item(index=index, item=item, state="succeeded", value=value, replayed=True))
                if self._leaves_traces():
                    self.todo.append(index)
            else:
                error = self.recorder.values.decode_error(body["error"])
                self._settle(Item(index=index, item=item, state="failed", error=error, replayed=True))

    def restored_cell(self) -> ActiveCell:
        """The running cell with every call answered from the record."""
        with self.lock:
            if self.restored is None:
                assert self.cell is not None
                assert self.recorder is not None
                context = msgspec.structs.replace(self.cell.context, mode="restore")
                self.restored = ActiveCell(context, self.recorder.writer)
            return self.restored

    # -- ways to run ---------------------------------------------------------------------------------------------------

    def run_here(self) -> None:
        """One after the other, in this thread."""
        for index in self._next():
            self._one(index)

    def run_threads(self, concurrency: int) -> None:
        """Several at a time."""
        source = self._next()
        running: set[concurrent.futures.Future[None]] = set()
        with concurrent.futures.ThreadPoolExecutor(concurrency, thread_name_prefix="holdfast-item") as pool:
            while True:
                try:
                    while len(running) < concurrency and (index := next(source, None)) is not None:
                        running.add(pool.submit(contextvars.copy_context().run, self._one, index))
                    if not running:
                        return
                    _, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                except KeyboardInterrupt as interrupt:  # leaving the pool waits for what is under way
                    self._interrupted(interrupt, len(running))
                    return

    def run_coroutines(self, concurrency: int) -> None:
        """Coroutines in one event loop, which has a thread of its own (the kernel's loop runs this very cell)."""
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(asyncio.run, self._coroutines(concurrency)), name="holdfast-items")
        thread.start()
        while thread.is_alive():
            try:
                thread.join()
            except KeyboardInterrupt as interrupt:
                self._interrupted(interrupt, concurrency)

    async def _coroutines(self, concurrency: int) -> None:
        source = self._next()

        async def worker() -> None:
            for index in source:
                if index in self.results:
                    await asyncio.to_thread(self._again, index)
                    continue
                with _Lane(self, index):
                    try:
                        value = await self.function(self.items[index])
                    except BaseException as error:
                        self._raised(index, error)
                    else:
                        self._returned(index, value)

        await asyncio.gather(*(asyncio.create_task(worker()) for _ in range(concurrency)))

    def _next(self) -> Iterator[int]:
        for index in self.todo:
            if self.stop is not None or (self.limit is not None and self.troubles > self.limit):
                return
            yield index

    def _leaves_traces(self) -> bool:
        """Whether completed items must be gone through again for what they did in memory."""
        if self._traces is None:
            self._traces = leaves_traces(self.function)
        return self._traces

    def _again(self, index: int) -> None:
        """Go through a completed item for its traces in memory; its calls are answered from the record."""
        with _Lane(self, index, restoring=True):
            try:
                made = self.function(self.items[index])
                if inspect.iscoroutine(made):
                    asyncio.run(made)
            except Exception as error:
                name = f"item {index} of {self.name} ({short(self.items[index])})"
                sys.stderr.write(f"{name} is done, but what it did in memory could not be made again: {text_of(error)}\n")

    def _one(self, index: int) -> None:
        if index in self.results:
            self._again(index)
            return
        with _Lane(self, index):
            try:
                value = self.function(self.items[index])
            except BaseException as error:
                self._raised(index, error)
            else:
                self._returned(index, value)

    # -- what became of an item ----------------------------------------------------------------------------------------

    def _returned(self, index: int, value: Any) -> None:
        try:
            kept = self._record(index, state="succeeded", value=value) if self.recorder is not None else value
        except BaseException as error:
            self._raised(index, error)
        else:
            self._settle(Item(index=index, item=self.items[index], state="succeeded", value=kept))

    def _raised(self, index: int, error: BaseException) -> None:
        if isinstance(error, Suspend):
            with self.lock:
                self.waits, self.troubles = self.waits or error, self.troubles + 1
            return
        if isinstance(error, TerminalError) or not isinstance(error, Exception):
            with self.lock:
                self.stop = self.stop or error
        if not isinstance(error, Exception):
            return
        if self._gone(index, error):
            return
        handed = error
        try:
            if self.recorder is not None:
                handed = self._record(index, state="failed", error=error)
        except BaseException as failure:  # the journal is gone or refuses this worker: nothing more may start
            with self.lock:
                self.stop = self.stop or failure
            return
        self._settle(Item(index=index, item=self.items[index], state="failed", error=handed))

    def _gone(self, index: int, error: Exception) -> bool:
        """Whether the item is gone since it was chosen: then it is left out."""
        if self.among is None or not isinstance(error, GuardrailError) or error.code != "HF808":
            return False
        label = self.among.label(self.items[index])
        if label not in self.among.gone:
            return False
        sys.stderr.write(f"{label} is gone since it was chosen; left out\n")
        self._settle(Item(index=index, item=self.items[index], state="skipped"))
        return True

    def _record(self, index: int, *, state: str, value: Any = None, error: Any = None) -> Any:
        recorder, cell = self.recorder, self.cell
        if recorder is None or cell is None or cell.context.dry_run or cell.context.mode == "restore":
            return value if error is None else error
        context = cell.context
        body: dict[str, Any] = {"state": state, "loop": self.name, "index": index, "item": recorder.redact(short(self.items[index]))}
        if error is None:
            body["value"] = recorder.values.encode(value)
            handed = recorder.values.decode(body["value"])
        else:
            body["error"], handed = recorder.values.encode_error(error)
        body |= {"cell": context.cell, "source": context.source_digest, "step_attempt": context.step_attempt, "ended_at": clock.now()}
        recorder.commit(Draft(kind=Kind.ITEM_COMPLETED, step=context.step, key=self.keys[index], body=recorder.encode(body)))
        return handed

    def _settle(self, item: Item) -> None:
        with self.lock:
            self.results[item.index] = item
            self.troubles += item.state == "failed"
        self.progress.count(failed=item.state == "failed", replayed=item.replayed)

    def _interrupted(self, interrupt: BaseException, running: int) -> None:
        if self.stop is interrupt or isinstance(self.stop, KeyboardInterrupt):
            raise interrupt
        self.stop = interrupt
        sys.stderr.write(f"interrupted: waiting for {running} items under way; interrupt again to leave them\n")

    def finish(self, on_error: str) -> Results:
        """The results, or what must be raised."""
        results = Results(
            [self.results.get(i) or Item(index=i, item=item, state="skipped") for i, item in enumerate(self.items)], label=self.name
        )
        ends = self.stop or self.waits
        if ends is not None:
            with _lane_here(self.cell) if self.cell is not None else contextlib.nullcontext():
                raise ends
        failed = results.failed
        if on_error == "raise" and self.limit is not None and len(failed) > self.limit:
            listed = "; ".join(f"[{i.index}] {short(i.item, 40)}: {text_of(i.error)[:200]}" for i in failed[:5] if i.error is not None)
            more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
            rest = f", {len(results.skipped)} not started" if results.skipped else ""
            raise ForEachError(
                "HF304",
                f"{len(failed)} of {len(results)} items of {self.name} failed{rest}: {listed}{more}",
                cure="run the step again once the cause is gone: only items that are not done are run",
                results=results,
            ) from failed[0].error
        return results


class _Lane:
    """The context of one item: its own order of calls, its own identity."""

    def __init__(self, loop: _Loop, index: int, *, restoring: bool = False) -> None:
        self._loop, self._index, self._restoring = loop, index, restoring

    def __enter__(self) -> None:
        loop = self._loop
        self._token = None
        if loop.cell is not None:
            lane = Lane(f"{loop.scope}{loop.keys[self._index]}")
            if loop.among is not None:
                lane.acting = Acting(loop.among.label(loop.items[self._index]), among=loop.among)
            self._token = HERE.set(Here(False, None, lane, loop.restored_cell() if self._restoring else loop.cell))

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            HERE.reset(self._token)


def _lane_here(cell: ActiveCell) -> Lane:
    """The lane in which ``for_each`` was called."""
    here = HERE.get()
    return here.lane if here is not None and here.lane is not None else cell.main


def _itself(item: Any) -> Any:
    return item


def _limit(max_errors: int | str | None, on_error: str, total: int) -> int | None:
    if on_error not in ("raise", "collect"):
        raise AuthorError("HF156", f"on_error is {on_error!r}", cure="give 'raise' or 'collect'")
    if max_errors is None:
        return 0 if on_error == "raise" else None
    if isinstance(max_errors, str):
        share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", max_errors)
        if share is None or float(share[1]) > 100:
            raise AuthorError("HF156", f"max_errors is {max_errors!r}", cure="give a number, or a share such as '10%'")
        return int(total * float(share[1]) / 100)
    if isinstance(max_errors, bool) or not isinstance(max_errors, int) or max_errors < 0:
        raise AuthorError("HF156", f"max_errors is {max_errors!r}", cure="give a number, or a share such as '10%'")
    return max_errors

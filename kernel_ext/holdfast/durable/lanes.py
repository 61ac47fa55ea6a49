"""Where in a cell a call is made: inside another call or not, in which lane, under which cell.

One context variable carries it, so that asyncio tasks inherit it. Threads do not inherit context variables (before Python 3.14), so
:func:`carry_into_threads` wraps ``Thread.start`` and ``ThreadPoolExecutor.submit`` while cells run.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.thread
import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any

from holdfast.errors import ControlFlow

if TYPE_CHECKING:
    from holdfast.durable.acting import Acting
    from holdfast.durable.active import ActiveCell
    from holdfast.durable.interceptor import Attempt

MAIN = "main"


class Lane:
    """A line of control whose calls have an order: the main thread of a cell, or one item of ``for_each``.

    Args:
        name: ``main`` or ``item:<key>``; part of the identity of calls made in an item.
    """

    __slots__ = ("acting", "ended", "name", "scope", "task", "tasks", "thread")

    def __init__(self, name: str = MAIN) -> None:
        self.name = name
        self.scope = "" if name == MAIN else name
        self.thread = threading.get_ident()
        self.task = current_task()
        self.tasks: tuple[Any, ...] = ()
        self.acting: Acting | None = None  # what it changes just now
        self.ended: ControlFlow | None = None  # what unwinds it: an author's ``finally:`` reaches the outside no more

    def __enter__(self) -> Lane:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, ControlFlow):
            self.ended = error

    def adopt(self) -> None:
        """The present task belongs to the lane too (a cell with top-level ``await`` gets a task of its own)."""
        self.tasks = (*self.tasks, current_task())

    def here(self) -> str:
        """The lane's name when this line of control is the lane's own; empty for a thread or task it started: these have no order."""
        if threading.get_ident() != self.thread:
            return ""
        task = current_task()
        return self.name if task is self.task or task in self.tasks else ""


def current_task() -> Any:
    """The running asyncio task of this thread, or None."""
    loop = asyncio._get_running_loop()
    return asyncio.current_task(loop) if loop is not None else None


class Here:
    """The value of the context variable."""

    __slots__ = ("attempt", "cell", "lane", "passing", "reading")

    def __init__(
        self, passing: bool, attempt: Attempt | None, lane: Lane | None, cell: ActiveCell | None, *, reading: bool = False
    ) -> None:
        self.reading = reading  # inner calls pass through, but only those that read
        self.passing = passing  # an outer call records: inner ones pass through
        self.attempt = attempt  # the outer call's
        self.lane = lane  # None: the cell's main lane
        self.cell = cell  # None: the process's running cell


HERE: ContextVar[Here | None] = ContextVar("holdfast_here", default=None)


def run_with(here: Here, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call ``function`` with the context variable set to ``here``."""
    token = HERE.set(here)
    try:
        return function(*args, **kwargs)
    finally:
        HERE.reset(token)


def _start(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        here = HERE.get()
        if here is not None and getattr(self, "_target", None) is not _POOL_WORKER:  # a pool's thread outlives the work that made it
            run = self.run

            def carried() -> None:
                del self.__dict__["run"]  # no cycle, and `thread.run` is itself again
                run_with(here, run)

            self.__dict__["run"] = carried
        original(self)

    return start


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        here = HERE.get()
        return original(self, fn, *args, **kwargs) if here is None else original(self, run_with, here, fn, *args, **kwargs)

    return submit


_POOL_WORKER = getattr(concurrent.futures.thread, "_worker", concurrent.futures)
_originals: tuple[Any, Any] | None = None
_patching = threading.Lock()


def carry_into_threads() -> None:
    """Let new threads and pool work inherit where they were started. Idempotent."""
    global _originals
    with _patching:
        if _originals is None:
            pool = concurrent.futures.ThreadPoolExecutor
            _originals = (threading.Thread.start, pool.submit)
            threading.Thread.start = _start(threading.Thread.start)  # type: ignore[method-assign, assignment]
            pool.submit = _submit(pool.submit)  # type: ignore[method-assign]


def restore_threads() -> None:
    """Undo :func:`carry_into_threads`."""
    global _originals
    with _patching:
        if _originals is not None:
            threading.Thread.start, concurrent.futures.ThreadPoolExecutor.submit = _originals  # type: ignore[method-assign]
            _originals = None

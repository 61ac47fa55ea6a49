"""Reducers for locks, queues, pools, threads that have ended, and event loops."""

from __future__ import annotations

import _thread
import queue
import re
import threading
from typing import Any

from holdfast.checkpoint.reducer import Context, Reducer


def _lock(context: Context, o: Any) -> Any:
    return make_lock, (o.locked(),)


def make_lock(locked: bool) -> Any:
    """A lock, taken when it was."""
    made = _thread.allocate_lock()
    if locked:
        made.acquire()
    return made


_COUNT = re.compile(r"count=(\d+)")


def _rlock(context: Context, o: Any) -> Any:
    found = _COUNT.search(repr(o))
    return make_rlock, (int(found[1]) if found else 0,)


def make_rlock(count: int) -> Any:
    """A reentrant lock, taken ``count`` times by this thread."""
    made = threading.RLock()
    for _ in range(count):
        made.acquire()
    return made


def _waiting(o: Any) -> list[Any]:
    items: list[Any] = []
    while True:
        try:
            items.append(o.get_nowait())
        except queue.Empty:
            break
    for item in items:
        o.put(item)
    return items


def _simple_queue(context: Context, o: Any) -> Any:
    return make_simple_queue, (), (_waiting(o),), None, None, fill_simple_queue


def make_simple_queue() -> Any:
    """An empty queue."""
    return queue.SimpleQueue()


def fill_simple_queue(target: Any, state: tuple[list[Any]]) -> None:
    """What waited in it."""
    for item in state[0]:
        target.put(item)


def _thread_local(context: Context, o: Any) -> Any:
    return make_local, (type(o),), dict(o.__dict__), None, None, fill_local


def make_local(cls: type) -> Any:
    """Thread-local data."""
    return _thread._local.__new__(cls)


def fill_local(target: Any, state: dict[str, Any]) -> None:
    """This thread's attributes; those of other threads ended with them."""
    target.__dict__.update(state)


def _thread_object(context: Context, o: threading.Thread) -> Any:
    if o.is_alive():
        known = "main_thread" if o is threading.main_thread() else "current_thread" if o is threading.current_thread() else ""
        if known:
            return getattr(threading, known), ()
        raise context.cannot(o, "it still runs")
    state = {k: v for k, v in vars(o).items() if k not in {"_stderr", "_invoke_excepthook", "_tstate_lock", "_handle"}}
    return make_thread, (type(o),), state, None, None, fill_thread


def make_thread(cls: type) -> Any:
    """A thread object, not started by this."""
    made: Any = object.__new__(cls)
    threading.Thread.__init__(made)
    return made


def fill_thread(target: threading.Thread, state: dict[str, Any]) -> None:
    """The state of a thread that has ended, or was never started."""
    started = state["_started"].is_set()
    vars(target).update(state)
    if not started:
        return
    if hasattr(_thread, "_make_thread_handle"):  # Python 3.13: a handle says whether it has ended
        target._handle = _thread._make_thread_handle(state.get("_ident") or 0)  # type: ignore[attr-defined]
        target._handle._set_done()  # type: ignore[attr-defined]
        return
    target._is_stopped = True  # type: ignore[attr-defined]
    target._tstate_lock = None  # type: ignore[attr-defined]


def _pool(context: Context, o: Any) -> Any:
    if not o._shutdown and o._work_queue.qsize():
        raise context.cannot(o, "work is waiting in it")
    return make_pool, (type(o), o._max_workers, o._thread_name_prefix, o._initializer, o._initargs, o._shutdown)


def make_pool(cls: type, workers: int, prefix: str, initializer: Any, arguments: Any, closed: bool) -> Any:
    """A thread pool with the same settings and no work."""
    made = cls(workers, prefix, initializer, arguments)
    if closed:
        made.shutdown()
    return made


def _process_pool(context: Context, o: Any) -> Any:
    if o._pending_work_items:
        raise context.cannot(o, "work is waiting in it")
    return make_process_pool, (type(o), o._max_workers, o._initializer, o._initargs)


def make_process_pool(cls: type, workers: int, initializer: Any, arguments: Any) -> Any:
    """A process pool with the same settings and no work."""
    return cls(workers, None, initializer, arguments)


def _future(context: Context, o: Any) -> Any:
    if not o.done():
        raise context.cannot(o, "it is not done")
    return make_future, (type(o),), (o._state, o._result, o._exception), None, None, fill_future


def make_future(cls: type) -> Any:
    """A future of ``concurrent.futures``."""
    return cls()


def fill_future(target: Any, state: tuple[Any, ...]) -> None:
    """Its outcome."""
    target._state, target._result, target._exception = state


def _event_loop(context: Context, o: Any) -> Any:
    import asyncio

    try:
        if asyncio.get_running_loop() is o:
            return running_loop, ()
    except RuntimeError:
        pass
    if o.is_running():
        return running_loop, ()
    if o._ready or o._scheduled:
        raise context.cannot(o, "callbacks are waiting in it")
    policy: Any = asyncio.get_event_loop_policy()
    current = getattr(policy._local, "_loop", None) is o if hasattr(policy, "_local") else False
    return make_loop, (type(o), o.is_closed(), o.get_debug(), current)


def running_loop() -> Any:
    """The loop of the kernel."""
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.get_event_loop_policy().get_event_loop()


def make_loop(cls: type, closed: bool, debug: bool, current: bool) -> Any:
    """A new event loop."""
    import asyncio

    made = cls()
    made.set_debug(debug)
    if current:
        asyncio.set_event_loop(made)
    if closed:
        made.close()
    return made


REDUCERS = [
    Reducer("_thread:lock", _lock),
    Reducer("_thread:RLock", _rlock),
    Reducer("_queue:SimpleQueue", _simple_queue, parts=_waiting),
    Reducer("_thread:_local", _thread_local, subclasses=True, follow=True),
    Reducer("threading:Thread", _thread_object, subclasses=True, follow=True),
    Reducer("concurrent.futures.thread:ThreadPoolExecutor", _pool, subclasses=True),
    Reducer("concurrent.futures.process:ProcessPoolExecutor", _process_pool, subclasses=True),
    Reducer("concurrent.futures._base:Future", _future, subclasses=True, follow=True),
    Reducer("asyncio.unix_events:_UnixSelectorEventLoop", _event_loop, subclasses=True),
]

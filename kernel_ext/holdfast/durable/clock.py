"""Clocks read in cells: recorded, so that a replay sees the times of the first pass and goes on from there."""

from __future__ import annotations

import asyncio
import datetime
import functools
import time
from collections.abc import Callable
from typing import Any

from holdfast.durable import current
from holdfast.durable.active import ActiveCell
from holdfast.durable.cheap import reading, record, recording
from holdfast.foundation import clock

_KIND = "clock"

#: Replacement of a clock function: takes the call site, then the function's own arguments.
Durable = Callable[..., Any]


def now(*, fresh: bool = False) -> datetime.datetime:
    """The time, aware, in UTC. Recorded: a replay gets the same again.

    Args:
        fresh: read the clock in any case, also on a replay; not recorded. For "is this still recent?" after a long wait.
    """
    recorder = None if fresh else recording("now")
    if recorder is None:
        return clock.utc(clock.now())
    stamp: float = record(recorder, _KIND, "now", "", clock.now)
    return clock.utc(stamp)


def table() -> dict[Any, Durable]:
    """Function -> its durable replacement, for call sites."""
    found: dict[Any, Durable] = {
        time.time: functools.partial(_plain, time.time),
        time.time_ns: functools.partial(_plain, time.time_ns),
        time.sleep: _sleep,
        asyncio.sleep: _sleep_async,
    }
    counters: tuple[Callable[[], float], ...] = (time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns)
    for function in counters:
        found[function] = functools.partial(_counter, function)
    for of_time in (time.localtime, time.gmtime, time.ctime):
        found[of_time] = functools.partial(_of_time, of_time)
    found[time.strftime] = _strftime
    found[time.asctime] = _asctime
    return found


def of_class(cls: type, name: str) -> Durable:
    """The replacement of ``cls.now``, ``cls.utcnow`` or ``cls.today``, where ``cls`` is ``datetime``, ``date`` or derived."""
    return functools.partial(_datetime, cls, name)


def _plain(function: Callable[[], Any], site: str) -> Any:
    recorder = recording(function.__name__)
    return function() if recorder is None else record(recorder, _KIND, f"time.{function.__name__}", site, function)


def _counter(function: Callable[[], Any], site: str) -> Any:
    """A counter has no meaning in another process: after recorded readings it goes on from the last of them."""
    name = function.__name__
    cell = _cell()
    recorder = recording(name)
    if cell is None:
        return function()
    offset = cell.offsets.get(name, 0)
    if recorder is None:
        return function() + offset
    made: list[Any] = []

    def read() -> Any:
        made.append(function() + offset)
        return made[0]

    value = record(recorder, _KIND, f"time.{name}", site, read)
    if not made:
        cell.offsets[name] = value - function()
    return value


def _cell() -> ActiveCell | None:
    recorder = current.active()
    return recorder.cell if recorder is not None else None


def _of_time(function: Callable[..., Any], site: str, *args: Any) -> Any:
    return function(*args) if args and args[0] is not None else function(_plain(time.time, site))


def _strftime(site: str, form: str, *args: Any) -> str:
    return time.strftime(form, *args) if args else time.strftime(form, time.localtime(_plain(time.time, site)))


def _asctime(site: str, *args: Any) -> str:
    return time.asctime(*args) if args else time.asctime(time.localtime(_plain(time.time, site)))


def _sleep(site: str, seconds: float) -> None:
    """A recorded sleep is over: a replay does not sleep again."""
    recorder = recording("sleep")
    if recorder is None:
        return time.sleep(seconds)
    record(recorder, _KIND, "time.sleep", f"{site}\0{seconds!r}", lambda: time.sleep(seconds))
    return None


async def _sleep_async(site: str, delay: float, result: Any = None) -> Any:
    recorder = recording("asyncio.sleep")
    if recorder is None:
        return await asyncio.sleep(delay, result)
    await asyncio.sleep(0)  # others get their turn, recorded or not
    request = reading(_KIND, "asyncio.sleep", f"{site}\0{delay!r}")
    await recorder.perform_async(request, lambda attempt: asyncio.sleep(delay))
    return result


def _datetime(cls: type, name: str, site: str, *args: Any, **kwargs: Any) -> Any:
    recorder = recording(name)
    function = getattr(cls, name)
    if recorder is None:
        return function(*args, **kwargs)
    operation = f"{cls.__qualname__}.{name}"
    detail = f"{site}\0{args!r}\0{kwargs!r}"
    if cls is datetime.datetime:
        zone = args[0] if args else kwargs.get("tz")
        return record(
            recorder, _KIND, operation, detail, lambda: function(*args, **kwargs), store=_iso, load=functools.partial(_from_iso, zone)
        )
    if cls is datetime.date:
        return record(recorder, _KIND, operation, detail, function, store=_iso, load=datetime.date.fromisoformat)
    return record(recorder, _KIND, operation, detail, lambda: function(*args, **kwargs))


def _iso(value: datetime.date) -> str:
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC)
    return value.isoformat()


def _from_iso(zone: datetime.tzinfo | None, text: str) -> datetime.datetime:
    value = datetime.datetime.fromisoformat(text)
    return value if zone is None else value.astimezone(zone)

"""``wait_for``: look again and again until something is so."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any

from holdfast.durable import canonical, current
from holdfast.durable.interceptor import Attempt, Request
from holdfast.durable.lanes import HERE, Here
from holdfast.durable.recorder import Recorder
from holdfast.durable.timers import Length, seconds_of
from holdfast.durable.waiting import Matter, end_once, hold, matter_key, open_once
from holdfast.errors import AuthorError, CallError
from holdfast.foundation import clock, durations
from holdfast.foundation.faults import point
from holdfast.model.call import Effect
from holdfast.model.entry import Kind, Pending

_NOTHING = object()


def wait_for(
    condition: Callable[[], Any] | str,
    *,
    every: Length = 10,
    timeout: Length | None = None,
    ignore: type[Exception] | tuple[type[Exception], ...] = OSError,
    default: Any = _NOTHING,
) -> Any:
    """Wait until a condition holds. Its looks at the outside are not recorded one by one, only what it was in the end; it must not change
    anything.

    Args:
        condition: a function without parameters, or a Python expression over this notebook's variables, as text.
        every: how long to wait between two looks. Up to ``hold_for`` the kernel stays; longer ones suspend the execution in between.
        timeout: how long in all; for ever by default. Absolute once the wait has begun.
        ignore: exceptions of the condition that mean "not yet"; all others are raised.
        default: returned when the time is up.

    Returns:
        what the condition was: anything true.

    Raises:
        CallError: HF323, the time is up and there is no default.
        AuthorError: HF157 ``every`` or ``timeout`` is no length of time, HF163 the condition changes something.
        Suspend: the execution goes on for the next look.
    """
    __tracebackhide__ = True
    gap = max(seconds_of(every, "every"), 0.01)
    limit = None if timeout is None else seconds_of(timeout, "timeout")
    said = condition if isinstance(condition, str) else str(getattr(condition, "__qualname__", type(condition).__qualname__))
    look = _looker(condition, sys._getframe(1).f_globals)
    recorder = current.active()
    if recorder is None or recorder.cell is None:
        return _plain(look, gap, limit, ignore, said, default)
    if recorder.cell.context.dry_run:
        return None if default is _NOTHING else default
    request = Request(
        kind="timer", operation=f"wait_for({said})", fingerprint=canonical.digest(["wait_for", said]), effect=Effect.READ, kept=True
    )
    polls = _Polls(recorder, look, gap, limit, ignore, said, default is _NOTHING)
    got = recorder.perform(request, polls.run)
    return got["value"] if got["came"] else default


def _looker(condition: Callable[[], Any] | str, namespace: dict[str, Any]) -> Callable[[], Any]:
    if not isinstance(condition, str):
        return condition
    try:
        code = compile(condition.strip(), "<wait_for>", "eval")
    except SyntaxError as error:
        raise AuthorError("HF157", f"{condition!r} is no Python expression: {error.msg}", cure="Give a function instead.") from None

    def look() -> Any:
        recorder = current.recorder()
        if recorder is not None and recorder.materialise is not None:  # a restored variable is loaded when code names it: this is text
            for name in code.co_names:
                if name not in namespace and not hasattr(builtins, name):
                    recorder.materialise(name)
        return eval(code, namespace)

    return look


class _Polls:
    """One ``wait_for``."""

    def __init__(
        self, recorder: Recorder, look: Callable[[], Any], gap: float, limit: float | None, ignore: Any, said: str, strict: bool
    ) -> None:
        self._recorder, self._condition, self._gap, self._limit = recorder, look, gap, limit
        self._ignore, self._said, self._strict = ignore, said, strict

    def run(self, attempt: Attempt) -> dict[str, Any]:
        recorder, key, now = self._recorder, matter_key(attempt), clock.now()
        deadline = None if self._limit is None else now + self._limit
        body: dict[str, Any] = {"since": now, "deadline": deadline, "for": self._said}
        point("timer.before_set")
        body, opened = open_once(recorder, Kind.TIMER_SET, "timer", key, body, step=attempt.step, due_at=deadline)
        point("timer.after_set")
        deadline = body["deadline"]
        while True:
            value = self._poll(attempt)
            if value or (deadline is not None and clock.now() >= deadline):
                point("timer.before_fire")
                end_once(recorder, Kind.TIMER_FIRED, "timer", key, {"came": bool(value)}, step=attempt.step)
                point("timer.after_fire")
                break
            again = clock.now() + self._gap
            self._pause(attempt, key, body, opened, again if deadline is None else min(again, deadline))
        if not value and self._strict:
            raise _too_late(self._said, self._limit, attempt)
        return {"came": bool(value), "value": value if value else None}

    def _poll(self, attempt: Attempt) -> Any:
        here = HERE.get()
        looking = Here(True, attempt, here.lane if here else None, here.cell if here else None, reading=True)
        token = HERE.set(looking)
        try:
            return self._condition()
        except self._ignore:
            return None
        finally:
            HERE.reset(token)

    def _pause(self, attempt: Attempt, key: str, body: dict[str, Any], opened: float, until: float) -> None:
        """Up to the next look, which may be another process's."""
        recorder = self._recorder
        if until - clock.now() > recorder.hold:
            next_one = Pending(execution=recorder.execution, kind="timer", key=key, due_at=until, body=recorder.encode(body))
            recorder.writer.append(Kind.TIMER_SET, {**body, "due_at": until}, step=attempt.step, key=key, opens=(next_one,))
            point("timer.after_set")
        reason = f"waits for {self._said}, looks again at {clock.iso(until)}"
        matter = Matter(kind="timer", key=key, reason=reason, opened_at=opened, due_at=until, certain=True)
        hold(recorder, matter, lambda: True if clock.now() >= until else None)


def _too_late(said: str, limit: float | None, attempt: Attempt | None) -> CallError:
    where = {} if attempt is None else {"step": attempt.step, "execution": attempt.execution}
    what = f"{said} did not come true within {durations.text(limit or 0.0)}"
    return CallError("HF323", what, cure="See what keeps it; then resume, which waits anew. Or give `wait_for` a default.", **where)


def _plain(look: Callable[[], Any], gap: float, limit: float | None, ignore: Any, said: str, default: Any) -> Any:
    """Outside of a recorded cell."""
    until = None if limit is None else clock.monotonic() + limit
    while True:
        try:
            value = look()
        except ignore:
            value = None
        if value:
            return value
        left = gap if until is None else until - clock.monotonic()
        if left <= 0:
            if default is _NOTHING:
                raise _too_late(said, limit, None)
            return default
        clock.sleep(min(gap, left))

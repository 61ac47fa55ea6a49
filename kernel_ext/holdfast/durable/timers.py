"""``wait``: a durable "no sooner than"."""

from __future__ import annotations

import datetime
from typing import Any, TypeAlias

import msgspec

from holdfast.durable import canonical, current
from holdfast.durable.interceptor import Attempt, Request
from holdfast.durable.recorder import Recorder
from holdfast.durable.waiting import Matter, end_once, hold, matter_key, open_once
from holdfast.errors import AuthorError
from holdfast.foundation import clock, durations
from holdfast.foundation.faults import point
from holdfast.model.call import Effect
from holdfast.model.entry import Entry, Kind

Length: TypeAlias = float | str | datetime.timedelta
Moment: TypeAlias = datetime.datetime | datetime.date | str


class Waited(msgspec.Struct, frozen=True):
    """What ``wait`` returns: aware times, UTC."""

    since: datetime.datetime  # when it began
    until: datetime.datetime  # when it was due

    @property
    def seconds(self) -> float:
        """How long that was."""
        return max(0.0, round((self.until - self.since).total_seconds(), 3))

    def __str__(self) -> str:
        return f"waited {durations.text(self.seconds)}, until {self.until.isoformat(timespec='seconds')}"


def wait(length: Length | Moment | None = None, *, until: Moment | None = None) -> Waited:
    """Wait durably. When the wait ends is settled once, as a moment, and kept: a crash, a restart, another machine do not begin it again.
    A wait longer than ``hold_for`` suspends the execution; no process lives meanwhile.

    ``wait(30)``, ``wait("2h30m")``, ``wait("3 days")``, ``wait(timedelta(hours=1))``, ``wait(until="2026-03-01T09:00Z")``.

    Args:
        length: seconds, a text with units, an ISO 8601 duration or a ``timedelta``; a moment is taken as ``until``.
        until: a ``datetime`` or ``date`` or its ISO 8601 text; without a time zone it is this machine's. One in the past is over.

    Returns:
        since when and until when; ``.seconds``.

    Raises:
        AuthorError: HF157, not a length of time nor a moment.
        Suspend: the execution goes on when the time has come.
    """
    __tracebackhide__ = True
    kind, value, said = understood(length, until)
    recorder = current.active()
    if recorder is None or recorder.cell is None:
        return _plain(kind, value)
    if recorder.cell.context.dry_run:
        now = clock.utc(clock.now())
        return Waited(now, now)
    request = Request(
        kind="timer",
        operation=f"wait({said})",
        fingerprint=canonical.digest(["wait", kind, value if kind == "for" else _written(until if until is not None else length)]),
        effect=Effect.READ,
        kept=True,
    )
    waited: Waited = recorder.perform(request, lambda attempt: _wait(recorder, attempt, kind, value, said), store=_stored, load=_loaded)
    return waited


def understood(length: Length | Moment | None, until: Moment | None) -> tuple[str, float, str]:
    """``("for", seconds, text)`` or ``("until", seconds since the epoch, text)``.

    Raises:
        AuthorError: HF157.
    """
    cure = "Write wait(30), wait('2h30m'), wait('3 days') or wait(until='2026-03-01T09:00Z')."
    if (length is None) == (until is None):
        raise AuthorError("HF157", "a wait takes a length of time or `until`, one of them", cure=cure)
    try:
        if until is not None or durations.is_moment(length):
            at = durations.moment(until if until is not None else length)  # type: ignore[arg-type]
            return "until", at, f"until {clock.utc(at).isoformat(timespec='seconds')}"
        seconds = durations.seconds(length)  # type: ignore[arg-type]
    except (ValueError, OverflowError) as error:
        raise AuthorError("HF157", str(error), cure=cure) from None
    return "for", seconds, durations.text(seconds)


def _written(moment: object) -> str:
    """A moment as its author wrote it: a machine in another zone that goes on with the execution finds the same wait."""
    return moment.isoformat() if isinstance(moment, datetime.date) else str(moment).strip()


def seconds_of(length: Length, name: str) -> float:
    """The length of time given as argument ``name``, in seconds.

    Raises:
        AuthorError: HF157.
    """
    try:
        return durations.seconds(length)
    except (ValueError, OverflowError) as error:
        raise AuthorError("HF157", f"{name}: {error}", cure="Write seconds, or for example '30 min' or '3 days'.") from None


def _wait(recorder: Recorder, attempt: Attempt, kind: str, value: float, said: str) -> Any:
    now = clock.now()
    key = matter_key(attempt)
    point("timer.before_set")
    due_at = value if kind == "until" else now + value
    body: dict[str, Any] = {"due_at": due_at, "since": now, "for": said}
    body, _ = open_once(recorder, Kind.TIMER_SET, "timer", key, body, step=attempt.step, due_at=due_at)
    point("timer.after_set")
    due_at = float(body["due_at"])
    reason = f"waits until {clock.iso(due_at)}"
    matter = Matter(kind="timer", key=key, reason=reason, opened_at=float(body["since"]), due_at=due_at, certain=True)
    hold(recorder, matter, lambda: _fired(recorder, key, due_at, attempt.step))
    return float(body["since"]), due_at


def _fired(recorder: Recorder, key: str, due_at: float, step: str) -> Entry | None:
    if clock.now() < due_at:
        return None
    point("timer.before_fire")
    entry = end_once(recorder, Kind.TIMER_FIRED, "timer", key, {"due_at": due_at}, step=step)
    point("timer.after_fire")
    return entry


def _plain(kind: str, value: float) -> Waited:
    """Outside of a recorded cell."""
    now = clock.now()
    due_at = value if kind == "until" else now + value
    clock.sleep(max(0.0, due_at - now))
    return Waited(clock.utc(now), clock.utc(due_at))


def _stored(waited: Any) -> list[float]:
    return [waited[0], waited[1]]


def _loaded(stored: Any) -> Any:
    return Waited(clock.utc(stored[0]), clock.utc(stored[1]))

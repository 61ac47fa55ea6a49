"""Change freezes: when they are on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from holdfast.foundation import clock

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def named(runbook: str, patterns: Iterable[str]) -> bool:
    """Whether one of the shell-style ``patterns`` names the runbook, and none that begins with ``!`` takes it out."""
    patterns = tuple(patterns)
    if any(fnmatchcase(runbook, p[1:]) for p in patterns if p.startswith("!")):
        return False
    return any(fnmatchcase(runbook, p) for p in patterns if not p.startswith("!"))


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """A window in which nothing is changed: once, or every week.

    ``begins`` and ``ends`` are local: dates with times of a window that comes once, times of day of one that comes on ``days``; then an end
    that is not after the beginning is on the next day.
    """

    name: str
    timezone: str  # IANA
    begins: dt.datetime | dt.time
    ends: dt.datetime | dt.time
    days: tuple[int, ...] = ()  # 0 is Monday; the day on which a weekly window begins
    runbooks: tuple[str, ...] = ("*",)  # see :func:`named`
    effects: Literal["write", "destructive"] = "write"  # which are frozen
    reason: str = ""

    def covers(self, runbook: str, *, destructive: bool) -> bool:
        """Whether it speaks of such an effect of this runbook."""
        return (destructive or self.effects == "write") and named(runbook, self.runbooks)

    def until(self, now: float) -> float | None:
        """When it ends, if it is on at ``now``; both in seconds since the epoch."""
        ends = [end for begin, end in self._windows(now) if begin <= now < end]
        return max(ends, default=None)

    def _windows(self, now: float) -> Iterator[tuple[float, float]]:
        zone = ZoneInfo(self.timezone)
        if isinstance(self.begins, dt.datetime):
            assert isinstance(self.ends, dt.datetime)
            yield _first(self.begins, zone), _last(self.ends, zone)
            return
        assert isinstance(self.ends, dt.time)
        today = clock.utc(now).astimezone(zone).date()
        over = 0 if self.ends > self.begins else 1
        for back in (1, 0):
            day = today - dt.timedelta(days=back)
            if day.weekday() in self.days:
                end = dt.datetime.combine(day + dt.timedelta(days=over), self.ends)
                yield _first(dt.datetime.combine(day, self.begins), zone), _last(end, zone)


def _first(moment: dt.datetime, zone: ZoneInfo) -> float:
    """When a local time comes; the first time, where clocks that are set back bring it twice (or, set forward, never)."""
    return min(_both(moment, zone))


def _last(moment: dt.datetime, zone: ZoneInfo) -> float:
    return max(_both(moment, zone))


def _both(moment: dt.datetime, zone: ZoneInfo) -> tuple[float, float]:
    if moment.tzinfo is not None:
        return moment.timestamp(), moment.timestamp()
    local = moment.replace(tzinfo=zone)
    return local.replace(fold=0).timestamp(), local.replace(fold=1).timestamp()


def freeze_of(freezes: tuple[Freeze, ...], runbook: str, now: float, *, destructive: bool) -> tuple[Freeze, float] | None:
    """The freeze that ends last of those that are on, and when it ends."""
    on = [(f, until) for f in freezes if f.covers(runbook, destructive=destructive) and (until := f.until(now)) is not None]
    return max(on, key=lambda pair: pair[1], default=None)

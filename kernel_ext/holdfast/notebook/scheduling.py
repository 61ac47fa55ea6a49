"""What a notebook's metadata says about when it is executed and for what: schedule, partitions, automation, freshness."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Literal

import msgspec

_NAME = re.compile(r"\w[\w.-]{0,99}")
_CRON = re.compile(r"@(hourly|daily|midnight|weekly|monthly|yearly|annually)|\S+(\s+\S+){4}")


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A clock that starts executions."""

    cron: str  # five fields, or @daily and kin
    timezone: str = "UTC"  # IANA
    name: str | None = None  # needed when there are several
    parameters: dict[str, Any] = {}
    overlap: Literal["skip", "queue", "replace", "allow"] = "skip"  # when an execution it started has not ended yet
    enabled: bool = True


class Partitions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Slices for which the runbook is executed one by one; the slice's key is given as a parameter."""

    type: Literal["hourly", "daily", "weekly", "monthly", "static", "dynamic"]
    parameter: str
    start: str | None = None  # ISO 8601; those by time
    end: str | None = None
    timezone: str = "UTC"
    values: list[str] = []  # static
    name: str | None = None  # dynamic: of the set of keys, which several runbooks may share


class AtTimes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Automation: after each tick of a clock, once what it depends on has been made anew since."""

    cron: str
    timezone: str = "UTC"


class Freshness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How old an asset may become. Seconds, 60 or more."""

    fail: float
    warn: float | None = None


Automation = Literal["eager", "missing"] | AtTimes


def schedule_problems(schedules: list[Schedule]) -> Iterator[tuple[str, str]]:
    """What is wrong with the schedules of one notebook, as (message, cure)."""
    names = [s.name for s in schedules]
    for schedule in schedules:
        label = f"'schedule' {schedule.name!r}" if schedule.name else "'schedule'"
        if not _CRON.fullmatch(schedule.cron.strip()):
            yield f"{label}: {schedule.cron!r} is no cron expression", "write minute, hour, day of month, month, day of week: 30 6 * * 1-5"
        yield from _timezone(label, schedule.timezone)
        if schedule.name is not None and not _NAME.fullmatch(schedule.name):
            yield f"{label}: this is no name", "use letters, digits, '_', '-' and '.'"
        if len(schedules) > 1 and names.count(schedule.name) > 1:
            which = "two schedules have this name" if schedule.name else "several schedules, and not all have a name"
            yield f"{label}: {which}", "give each a 'name' of its own"


def partition_problems(partitions: Partitions, parameters: set[str] | None = None) -> Iterator[tuple[str, str]]:
    """What is wrong with the partitions, as (message, cure). ``parameters``: the names the notebook declares, where known."""
    yield from _timezone("'partitions'", partitions.timezone)
    if partitions.type == "static":
        if not partitions.values or len(set(partitions.values)) < len(partitions.values):
            yield "'partitions': static ones need 'values', each once", 'write {"type": "static", "values": ["eu", "us"], ...}'
    elif partitions.type == "dynamic":
        if partitions.values or partitions.start or partitions.end:
            yield "'partitions': the keys of dynamic ones are added while they are used", "leave out 'values', 'start' and 'end'"
    elif partitions.start is None:
        yield f"'partitions': {partitions.type} ones need a 'start'", 'write {"start": "2026-01-31", ...}'
    for name, text in (("start", partitions.start), ("end", partitions.end)):
        if text is not None and not _is_time(text):
            yield f"'partitions.{name}': {text!r} is no date", "write an ISO date: 2026-01-31"
    if partitions.name is not None and (partitions.type != "dynamic" or not _NAME.fullmatch(partitions.name)):
        yield "'partitions.name': of dynamic ones, in letters, digits, '_', '-' and '.'", "correct it, or leave it out"
    if parameters is not None and partitions.parameter not in parameters:
        from holdfast.notebook.metadata import near

        yield f"'partitions.parameter' names {partitions.parameter!r}, which is no parameter", near(partitions.parameter, parameters)


def automation_problems(automation: Automation | None, freshness: Freshness | None) -> Iterator[tuple[str, str]]:
    """What is wrong with these two, as (message, cure)."""
    if isinstance(automation, AtTimes):
        if not _CRON.fullmatch(automation.cron.strip()):
            yield f"'automation': {automation.cron!r} is no cron expression", "write minute, hour, day of month, month, day of week"
        yield from _timezone("'automation'", automation.timezone)
    if freshness is not None and not (freshness.fail >= 60 and (freshness.warn is None or 60 <= freshness.warn < freshness.fail)):
        yield (
            "'freshness': 'fail' and 'warn' must be 60 seconds or more, and 'warn' less than 'fail'",
            'write {"fail": 86400, "warn": 43200}',
        )


def _timezone(label: str, name: str) -> Iterator[tuple[str, str]]:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        yield f"{label}: {name!r} is no time zone", "use an IANA name such as Europe/Berlin"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        try:
            date.fromisoformat(text)
        except ValueError:
            return False
    return True

"""Lengths of time and moments as people write them: ``3 days``, ``2h30m``, ``PT15M``, ``2026-03-01T09:00``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_UNITS = {
    "ms": "ms millisecond milliseconds msec",
    "s": "s sec secs second seconds",
    "m": "m min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "w": "w week weeks",
}
_UNIT_OF = {name: unit for unit, names in _UNITS.items() for name in names.split()}
_PART = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*([a-z]+)\s*(?:,|and\b)?", re.IGNORECASE)
_ISO = re.compile(
    r"P(?:(\d+(?:[.,]\d+)?)W)?(?:(\d+(?:[.,]\d+)?)D)?(?:T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?",
    re.IGNORECASE,
)


def seconds(length: float | str | timedelta) -> float:
    """A length of time in seconds.

    Args:
        length: seconds; or a ``timedelta``; or a text: numbers with units (``ms s m h d w`` or their English names), an ISO 8601
            duration, or plain seconds.

    Raises:
        ValueError: it is none of these, negative, or not finite; the text says what is wrong.
    """
    if isinstance(length, timedelta):
        return _sane(length.total_seconds(), length)
    if isinstance(length, bool) or not isinstance(length, int | float | str):
        raise ValueError(f"{length!r} is no length of time")
    if not isinstance(length, str):
        return _sane(float(length), length)
    text = length.strip()
    try:
        return _sane(float(text), length)
    except ValueError:
        pass
    iso = _ISO.fullmatch(text)
    if iso is not None and any(iso.groups()):
        return _sane(sum(_number(n) * _SECONDS[u] for n, u in zip(iso.groups(), "wdhms", strict=True) if n), length)
    total, place = 0.0, 0
    while place < len(text):
        part = _PART.match(text, place)
        unit = _UNIT_OF.get(part[2].lower()) if part else None
        if part is None or unit is None:
            raise ValueError(f"{length!r} is no length of time; write for example 90, '30 min', '2h30m' or '3 days'")
        total, place = total + _number(part[1]) * _SECONDS[unit], part.end()
    if not text:
        raise ValueError("an empty text is no length of time")
    return _sane(total, length)


def moment(until: datetime | date | str | float) -> float:
    """A moment as seconds since the epoch.

    Args:
        until: an aware or a naive ``datetime`` (naive: the local time of this machine, as everywhere in Python), a ``date`` (its
            beginning, local), an ISO 8601 text of one of these, or seconds since the epoch.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(until, bool):
        raise ValueError(f"{until!r} is no moment")
    if isinstance(until, int | float):
        return _sane(float(until), until)
    if isinstance(until, str):
        try:
            until = datetime.fromisoformat(until.strip())
        except ValueError:
            raise ValueError(f"{until!r} is no moment; write for example '2026-03-01T09:00Z' or '2026-03-01 09:00'") from None
    if not isinstance(until, datetime) and isinstance(until, date):
        until = datetime(until.year, until.month, until.day)  # noqa: DTZ001 - local on purpose
    if not isinstance(until, datetime):
        raise ValueError(f"{until!r} is no moment")
    return _sane(until.timestamp(), until)


def is_moment(value: object) -> bool:
    """Whether ``value`` names a moment rather than a length of time: a ``datetime`` or ``date``, or an ISO 8601 text of one."""
    if isinstance(value, date):
        return True
    if not isinstance(value, str) or not re.match(r"\s*\d{4}-?\d{2}-?\d{2}", value):
        return False
    try:
        datetime.fromisoformat(value.strip())
    except ValueError:
        return False
    return True


def text(length: float) -> str:
    """Seconds for people: ``3 days``, ``2 h 30 min``, ``45 s``."""
    if length < 60:
        return f"{length:.3g} s"
    whole = round(length)
    parts = []
    for name, size in (("day", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        n, whole = divmod(whole, size)
        if n:
            parts.append(f"{n} {name}{'s' if name == 'day' and n > 1 else ''}")
    return " ".join(parts[:2])


def _number(text: str) -> float:
    return float(text.replace(",", "."))


#: No timer ends after this moment: calendars end there.
LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def _sane(value: float, said: object) -> float:
    if not 0 <= value <= LATEST:
        raise ValueError(f"{said!r} lies outside of what can be waited for")
    return value

"""The guardrails file: change freezes, and what the operator allows at most, whatever a runbook says.

.. code-block:: toml

    [[freeze]]
    name = "year end"
    from = 2026-12-20T18:00:00
    until = 2027-01-02T06:00:00
    timezone = "Europe/Berlin"
    runbooks = ["*", "!status-*"]

    [[freeze]]
    name = "nights"
    days = ["mon", "tue", "wed", "thu"]
    from = 18:00:00
    until = 08:00:00
    timezone = "Europe/Berlin"
    effects = "destructive"

    [[limits]]
    runbooks = ["ec2-*"]
    effects_per_hour = 20
"""

from __future__ import annotations

import datetime as dt
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from holdfast.errors import OperatorError
from holdfast.foundation import durations
from holdfast.foundation.rereading import Reread
from holdfast.guardrails.windows import DAYS, Freeze, named
from holdfast.model.guardrail import Limits
from holdfast.notebook.limiting import limit_problems

_FREEZE: Final = ("name", "from", "until", "days", "timezone", "runbooks", "effects", "reason")
_OWN: Final = ("runbooks", "unattended")
_LIMITS: Final = tuple(n for n in Limits.__struct_fields__ if n not in ("target", "pools"))


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows some runbooks at most."""

    runbooks: tuple[str, ...]
    limits: Limits
    unattended: Literal["approval", "allow"] = "approval"  # what destroys, where nobody looks on


class Guardrails(msgspec.Struct, frozen=True, kw_only=True):
    """The file's content."""

    freezes: tuple[Freeze, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()

    def limits_of(self, runbook: str, own: Limits) -> Limits:
        """The strictest of the runbook's own limits and the operator's."""
        strictest = own
        for ceiling in self.ceilings:
            if named(runbook, ceiling.runbooks):
                strictest = _stricter(strictest, ceiling.limits)
        return strictest

    def allows_unattended(self, runbook: str) -> bool:
        """Whether the operator lets the runbook destroy where nobody looks on and nobody approved."""
        return any(c.unattended == "allow" and named(runbook, c.runbooks) for c in self.ceilings)

    @classmethod
    def read(cls, path: Path) -> Guardrails:
        """Read the file.

        Raises:
            OperatorError: HF283.
        """
        try:
            content = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise _unusable(path, f"it cannot be read: {error}") from None
        try:
            _known(content, ("freeze", "limits"), "the file")
            freezes = [_freeze(table, number) for number, table in enumerate(_tables(content, "freeze"), 1)]
            ceilings = [_ceiling(table, number) for number, table in enumerate(_tables(content, "limits"), 1)]
        except ValueError as error:
            raise _unusable(path, str(error)) from None
        return cls(freezes=tuple(freezes), ceilings=tuple(ceilings))


class GuardrailsFile:
    """The guardrails as the file has them now: a freeze that is declared while an execution is under way counts from its next effect on.

    Args:
        path: of the file, or None.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = Reread(path, Guardrails.read) if path is not None else None

    def current(self) -> Guardrails:
        """What it says.

        Raises:
            OperatorError: HF283; as long as the file cannot be used, nothing may be changed.
        """
        if self._path is None or self._file is None:
            return Guardrails()
        try:
            return self._file.current()
        except OSError as error:
            raise _unusable(self._path, f"it cannot be read: {error.strerror}") from None


def _unusable(path: Path, what: str) -> OperatorError:
    return OperatorError("HF283", f"the guardrails file: {what}", cure="Mend it; until then nothing is changed.", file=str(path))


def _stricter(one: Limits, other: Limits) -> Limits:
    found: dict[str, Any] = {}
    for name in _LIMITS:
        values = [v for v in (getattr(one, name), getattr(other, name)) if v is not None]
        if name in ("cooldown", "max_age") and values:
            lengths = [durations.seconds(v) for v in values]
            found[name] = max(lengths) if name == "cooldown" else min(lengths)
        elif values:
            found[name] = min(values)
    return msgspec.structs.replace(one, **found)


def _tables(content: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    tables = content.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise ValueError(f"{name} is written [[{name}]]")
    return tables


def _known(given: Iterable[str], known: Iterable[str], where: str) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            match = difflib.get_close_matches(name, known, n=1)
            raise ValueError(f"{where} has an unknown entry {name!r}" + (f"; did you mean {match[0]!r}?" if match else ""))


def _texts(table: Mapping[str, Any], name: str, where: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = table.get(name)
    if value is None:
        return default
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
        raise ValueError(f"{where}: {name!r} is not a list of texts")
    return tuple(value)


def _freeze(table: Mapping[str, Any], number: int) -> Freeze:
    name = table.get("name")
    where = f"freeze {name!r}" if isinstance(name, str) and name else f"freeze number {number}"
    _known(table, _FREEZE, where)
    zone = table.get("timezone", "UTC")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError, TypeError):
        raise ValueError(f"{where}: {zone!r} is no time zone; use an IANA name such as 'Europe/Berlin'") from None
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where} has no name")
    days = _texts(table, "days", where, ())
    for day in days:
        if day.lower()[:3] not in DAYS:
            raise ValueError(f"{where}: {day!r} is no day of the week; write mon, tue, wed ...")
    read = _time if days else _moment
    begins, ends = (read(table.get(key), f"{where}: {key!r}") for key in ("from", "until"))
    if not days and begins.replace(tzinfo=None) >= ends.replace(tzinfo=None):  # type: ignore[operator]
        raise ValueError(f"{where} ends before it begins")
    effects = table.get("effects", "write")
    if effects not in ("write", "destructive"):
        raise ValueError(f"{where}: 'effects' is 'write' (all changes) or 'destructive'")
    return Freeze(
        name=name,
        timezone=zone,
        begins=begins,
        ends=ends,
        days=tuple(sorted({DAYS.index(d.lower()[:3]) for d in days})),
        runbooks=_texts(table, "runbooks", where, ("*",)),
        effects=effects,
        reason=str(table.get("reason", "")),
    )


def _moment(value: Any, where: str) -> dt.datetime:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{where}: {value!r} is no date; write 2026-12-20T18:00:00") from None
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    raise ValueError(f"{where} is missing or no date; write 2026-12-20T18:00:00 (or give 'days' for a window that comes every week)")


def _time(value: Any, where: str) -> dt.time:
    if value is None:
        return dt.time()  # from midnight, until the next midnight
    if isinstance(value, str):
        try:
            value = dt.time.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{where}: {value!r} is no time of day; write 18:00:00") from None
    if isinstance(value, dt.time) and not isinstance(value, dt.datetime):
        return value
    raise ValueError(f"{where}: a window that comes every week has times of day, such as 18:00:00")


def _ceiling(table: Mapping[str, Any], number: int) -> Ceiling:
    where = f"limits number {number}"
    _known(table, (*_OWN, *_LIMITS), where)
    unattended = table.get("unattended", "approval")
    if unattended not in ("approval", "allow"):
        raise ValueError(f"{where}: 'unattended' is 'approval' or 'allow'")
    try:
        limits = msgspec.convert({k: v for k, v in table.items() if k in _LIMITS}, Limits)
    except msgspec.ValidationError as error:
        raise ValueError(f"{where}: {error}") from None
    for message, cure in limit_problems(limits):
        raise ValueError(f"{where}: {message}; {cure}")
    return Ceiling(runbooks=_texts(table, "runbooks", where, ("*",)), limits=limits, unattended=unattended)

"""A cursor's result as plain data, and a cursor that hands out a recorded one."""

from __future__ import annotations

import functools
from typing import Any

_Mixed: Any = object


def taken(cursor: Any) -> dict[str, Any]:
    """What the cursor has after it executed something."""
    result = cursor.pgresult
    names = None if cursor.description is None else [column.name for column in cursor.description]
    types = None if cursor.description is None else [column.type_code for column in cursor.description]
    rows = cursor._tx.load_rows(0, result.ntuples, tuple) if names is not None else []
    return {"names": names, "types": types, "rows": list(rows), "count": cursor.rowcount, "message": cursor.statusmessage}


def given(cursor: Any, stored: dict[str, Any]) -> Any:
    """Let the cursor hand out ``stored`` from now on."""
    if not isinstance(cursor, Recorded):
        plain: Any = type(cursor)
        cursor.__class__ = _recorded(plain)
    cursor._pos = 0
    cursor.pgresult = _Shape(stored)
    return cursor


class _Shape:
    """As much of a result as row factories look at."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self.stored = stored
        self._names: list[str] = stored["names"] or []
        self.ntuples, self.nfields = len(stored["rows"]), len(self._names)
        self.status = 2 if stored["names"] is not None else 1  # TUPLES_OK, COMMAND_OK

    def fname(self, column: int) -> bytes:
        return self._names[column].encode()


class Recorded(_Mixed):  # type: ignore[misc] # mixed into a cursor's class
    """Hands out the rows that its ``pgresult`` has on record."""

    __slots__ = ()  # the layout stays the cursor's own, so that an object can change between the two

    @property
    def _holdfast(self) -> dict[str, Any]:
        stored: dict[str, Any] = self.pgresult.stored
        return stored

    @property
    def description(self) -> list[Any] | None:
        """As PEP 249 has it: name and type are kept."""
        names, types = self._holdfast["names"], self._holdfast["types"]
        return None if names is None else [Column(name, kind) for name, kind in zip(names, types, strict=True)]

    @property
    def rowcount(self) -> int:
        """How many rows it was about."""
        return int(self._holdfast["count"])

    @property
    def statusmessage(self) -> str | None:
        """As the server said."""
        message: str | None = self._holdfast["message"]
        return message

    @property
    def rownumber(self) -> int | None:
        """Where fetching stands."""
        return self._pos if self._holdfast["names"] is not None else None

    def fetchmany(self, size: int = 0) -> list[Any]:
        """The next rows."""
        if self._holdfast["names"] is None:
            from psycopg import ProgrammingError

            raise ProgrammingError("the last operation didn't produce records (command status: " + str(self.statusmessage) + ")")
        make = self._row_factory(self)
        rows = self._holdfast["rows"][self._pos : self._pos + (size or self.arraysize)]
        self._pos += len(rows)
        return [make(tuple(row)) for row in rows]

    def fetchone(self) -> Any:
        """The next row, or None."""
        return next(iter(self.fetchmany(1)), None)

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return self.fetchmany(max(len(self._holdfast["rows"]) - self._pos, 1))

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        rows = self.fetchmany(1)
        if not rows:
            raise StopIteration
        return rows[0]

    def nextset(self) -> None:
        """Of several statements in one text only the first one's result is kept."""


class Column(tuple[Any, ...]):
    """A column of ``description``."""

    def __new__(cls, name: str, kind: int) -> Column:
        return super().__new__(cls, (name, kind, None, None, None, None, None))

    @property
    def name(self) -> str:
        """Its name."""
        return str(self[0])

    @property
    def type_code(self) -> int:
        """Its type's oid."""
        return int(self[1])


@functools.cache
def _recorded(cls: Any) -> Any:
    return type(cls.__name__, (Recorded, cls), {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__})

"""Rows of streams and cursors <-> the nouns; shared by all stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from holdfast.journal.stores.rows import body_bytes, clean
from holdfast.model.cursor import Cursor
from holdfast.model.stream import Added, Line, LineDraft

#: Columns of a line beside its place, in the order of :func:`line_row`.
LINE: Final = "at, kind, key, once, actor, body, digest"
CURSOR: Final = "name, position, version, at, body"


def line_of(stream: str, seq: int, row: Sequence[Any]) -> Line:
    """A row of :data:`LINE` as a line."""
    at, kind, key, once, actor, body, digest = row
    return Line(stream=stream, seq=seq, at=at, kind=kind, key=key, once=once, actor=actor, body=body, digest=digest)


def line_row(line: Line) -> tuple[Any, ...]:
    """A line as a row of :data:`LINE`."""
    return line.at, line.kind, line.key, line.once, line.actor, line.body, line.digest


def cursor_of(row: Sequence[Any]) -> Cursor:
    """A row of :data:`CURSOR` as a cursor."""
    name, position, version, at, body = row
    return Cursor(name=name, position=position, version=version, at=at, body=body)


class Addition:
    """The lines that ``StreamStore.add`` is about to write: drafts become lines, except those whose ``once`` is taken.

    Args:
        stream: its name.
        drafts: as given.
        at: the time they get.
    """

    def __init__(self, stream: str, drafts: Sequence[LineDraft], at: float) -> None:
        self.stream = stream
        self._lines = [
            Line(
                stream=stream, seq=0, at=at, kind=d.kind, key=clean(d.key), once=clean(d.once), actor=clean(d.actor) or "",
                body=body_bytes(d.body), digest=b"",
            )
            for d in drafts
        ]  # fmt: skip

    @property
    def onces(self) -> list[str]:
        """Every ``once`` that is asked for."""
        return [line.once for line in self._lines if line.once is not None]

    def fresh(self, taken: dict[str, Line], last: int) -> list[Line]:
        """The lines to write after the seq ``last``, not chained yet; ``taken`` has the lines that hold a ``once`` already."""
        fresh: list[Line] = []
        seen = set(taken)
        for line in self._lines:
            if line.once is not None:
                if line.once in seen:
                    continue
                seen.add(line.once)
            fresh.append(_numbered(line, last + len(fresh) + 1))
        return fresh

    def result(self, taken: dict[str, Line], written: Sequence[Line]) -> list[Added]:
        """What became of each draft."""
        by_once = dict(taken)
        rest = iter(written)
        result = []
        for line in self._lines:
            if line.once is not None and line.once in by_once:
                result.append(Added(by_once[line.once], False))
                continue
            new = next(rest)
            if new.once is not None:
                by_once[new.once] = new
            result.append(Added(new, True))
        return result


def _numbered(line: Line, seq: int) -> Line:
    return Line(
        stream=line.stream, seq=seq, at=line.at, kind=line.kind, key=line.key, once=line.once, actor=line.actor, body=line.body, digest=b""
    )


def lines_filter(kinds: Iterable[str] | None, key: str | None, mark: str) -> tuple[str, list[Any]]:
    """The part of ``StreamStore.lines`` that chooses, and its arguments."""
    query, values = "", []
    if kinds is not None:
        wanted = [str(k) for k in kinds]
        query += f" AND kind IN ({', '.join([mark] * len(wanted))})" if wanted else " AND 1 = 0"
        values += wanted
    if key is not None:
        query += f" AND key = {mark}"
        values.append(clean(key) or "")
    return query, values


def prefix_end(prefix: str) -> str:
    """The first text after all that begin with ``prefix``, in the order of code points."""
    return prefix + "\U0010ffff"

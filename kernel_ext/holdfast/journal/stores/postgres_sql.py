"""The statements of the PostgreSQL store. Each is a transaction of its own: nothing is half done when a client dies in between."""

# ruff: noqa: S608  (only constants of this package are put into SQL; values are bound)

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from holdfast.journal.stores.rows import HEADER, change_columns
from holdfast.model.entry import Pending
from holdfast.model.execution import Change

ENTRY: Final = "SELECT seq, kind, step, key, at, fence, actor, body FROM holdfast.entry"
_NOW: Final = "extract(epoch FROM clock_timestamp())::float8"
_DRAFTS: Final = (
    "unnest(%(kind)s::text[], %(step)s::text[], %(ekey)s::text[], %(actor)s::text[], %(once)s::text[], %(body)s::bytea[]) "
    "WITH ORDINALITY AS d (kind, step, key, actor, once, body, place)"
)
_ENTRY_COLUMNS: Final = "(no, seq, kind, step, key, at, fence, actor, once, append, body)"

CREATE: Final = (
    f"WITH h AS (INSERT INTO holdfast.execution ({', '.join(HEADER)}, origin, last_seq) "
    f"VALUES ({', '.join(f'%({n})s' for n in HEADER)}, %(origin)s, %(n)s) ON CONFLICT DO NOTHING RETURNING no), "
    f"e AS (INSERT INTO holdfast.entry {_ENTRY_COLUMNS} "
    f"SELECT h.no, d.place, d.kind, d.step, d.key, %(at)s, NULL, d.actor, d.once, %(append)s, d.body FROM h, {_DRAFTS}) "
    "SELECT no FROM h"
).encode()

# Asked only after a lost connection, so it needs no index of its own.
FIND_APPEND: Final = (
    "SELECT max(e.seq) FROM holdfast.entry e JOIN holdfast.execution x ON x.no = e.no WHERE e.append = %s AND x.id = %s HAVING count(*) > 0"
)

# The row is locked from the look to the change.
LEASES: Final = f"SELECT fence, owner, lease_until, step_leases::text, {_NOW} FROM holdfast.execution WHERE id = %s FOR UPDATE"
LEASES_READ: Final = "SELECT fence, owner, lease_until, step_leases::text FROM holdfast.execution WHERE id = %s"
SET_LEASES: Final = "UPDATE holdfast.execution SET fence = %s, owner = %s, lease_until = %s, step_leases = %s::jsonb WHERE id = %s"

LOCK: Final = "SELECT 1 FROM holdfast.execution WHERE id = %s FOR UPDATE"
_OPEN_ONES: Final = "(SELECT count(*) FROM holdfast.pending p WHERE p.no = execution.no AND p.key = ANY(%(awaits)s))"
# Both look at the row alone: after a wait for its lock they are asked again of the row as it has become.
_VALID: Final = (
    "(fence = %(fence)s AND step_leases IS NULL OR step_leases @> jsonb_build_array(jsonb_build_object('fence', %(fence)s::bigint)))"
)
_HEAD: Final = "UPDATE holdfast.execution SET last_seq = last_seq + %(n)s, updated_at = greatest(updated_at, %(now)s)"
_ONE: Final = (
    f"INSERT INTO holdfast.entry {_ENTRY_COLUMNS} SELECT no, last_seq, %(kind)s, %(step)s, %(ekey)s, %(now)s, %(fence)s, %(actor)s, "
    "%(once)s, %(append)s, %(body)s FROM h RETURNING seq"
)
_MANY: Final = (
    f"INSERT INTO holdfast.entry {_ENTRY_COLUMNS} SELECT h.no, h.last_seq - %(n)s + d.place, d.kind, d.step, d.key, %(now)s, %(fence)s, "
    f"d.actor, d.once, %(append)s, d.body FROM h, {_DRAFTS}"
)
_OPEN: Final = (
    "INSERT INTO holdfast.pending (no, key, kind, due_at, body) SELECT h.no, p.key, p.kind, p.due_at, p.body "
    "FROM h, unnest(%(okey)s::text[], %(okind)s::text[], %(odue)s::float8[], %(obody)s::bytea[]) AS p (key, kind, due_at, body) "
    "ON CONFLICT (no, key) DO UPDATE SET kind = excluded.kind, due_at = excluded.due_at, body = excluded.body"
)
_CLOSE: Final = "DELETE FROM holdfast.pending p USING h WHERE p.no = h.no AND p.key = ANY(%(closes)s)"


def draft_arrays(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """Rows of ``draft_row`` as one array per column."""
    kinds, steps, keys, _, _, actors, onces, bodies = zip(*rows, strict=True) if rows else [()] * 8
    return {
        "n": len(rows),
        "at": rows[0][3] if rows else 0.0,
        "kind": list(kinds),
        "step": list(steps),
        "ekey": list(keys),
        "actor": list(actors),
        "once": list(onces),
        "body": list(bodies),
    }


def append(
    execution: str,
    rows: Sequence[tuple[Any, ...]],
    now: float,
    fence: int | None,
    mark: uuid.UUID,
    change: Change | None,
    opens: Sequence[Pending],
    closes: Sequence[str],
) -> tuple[bytes, dict[str, Any]]:
    """``Store.append`` as one statement that returns the last seq, or no row when the execution or the fence is another."""
    values: dict[str, Any] = {"id": execution, "now": now, "fence": fence, "append": mark, "n": len(rows)}
    head = _HEAD
    columns = change_columns(change)
    if change is not None and change.awaits:
        head += f", due_at = CASE WHEN {_OPEN_ONES} < %(awaited)s THEN %(now)s ELSE %(c_due_at)s END"
        values.update(awaits=list(change.awaits), awaited=len(set(change.awaits)), c_due_at=columns.pop("due_at", None))
    for column, value in columns.items():
        head += f", {column} = %(c_{column})s"
        values[f"c_{column}"] = value
    head += " WHERE id = %(id)s" + ("" if fence is None else f" AND {_VALID}")
    query = f"WITH h AS ({head} RETURNING no, last_seq)"
    if len(rows) == 1 and not opens and not closes:
        kind, step, key, _, _, actor, once, body = rows[0]
        values.update(kind=kind, step=step, ekey=key, actor=actor, once=once, body=body)
        return f"{query} {_ONE}".encode(), values
    if rows:
        query += f", e AS ({_MANY})"
        values.update(draft_arrays(rows))
    # All parts of a statement see the state before it, so what is opened and closed at once must not be opened at all.
    opened = {p.key: p for p in opens if p.key not in closes}
    if opened:
        query += f", o AS ({_OPEN})"
        values.update(
            okey=list(opened),
            okind=[p.kind for p in opened.values()],
            odue=[p.due_at for p in opened.values()],
            obody=[p.body for p in opened.values()],
        )
    if closes:
        query += f", c AS ({_CLOSE})"
        values["closes"] = list(closes)
    return f"{query} SELECT last_seq FROM h".encode(), values

"""The lists of a store as SQL."""

# ruff: noqa: S608  (only constants of this package are put into SQL; values are bound)

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.journal.stores.rows import clean
from holdfast.model.execution import Status


def headers_query(
    columns: str,
    statuses: Iterable[Status] | None,
    equal: Mapping[str, str | None],
    due_before: float | None,
    orphaned_at: float | None,
    newest_first: bool,
    limit: int | None,
    after: str | None,
    *,
    schema: str = "",
    mark: str = "?",
) -> tuple[str, list[Any]]:
    """``Store.headers`` as a query and its arguments; ``mark`` stands where a value goes."""
    where: list[str] = []
    arguments: list[Any] = []
    # What is due is little among much that is suspended: SQLite, which keeps no statistics, is kept from the other indexes.
    plain = "+" if due_before is not None and mark == "?" else ""
    for name, value in equal.items():
        if value is not None:
            where.append(f"{name} = {mark}")
            arguments.append(clean(value))
    if statuses is not None:
        wanted = [str(s) for s in statuses]
        where.append(f"{plain}status IN ({', '.join([mark] * len(wanted))})" if wanted else "1 = 0")
        arguments += wanted
    if due_before is not None:
        where.append(f"due_at <= {mark}")
        arguments.append(due_before)
    if orphaned_at is not None:
        # a running execution without any lease was let go without a word: orphaned too
        where.append(f"status = 'running' AND (lease_until < {mark} OR lease_until IS NULL)")
        arguments.append(orphaned_at)
    if after is not None:
        where.append(f"id {'<' if newest_first else '>'} {mark}")
        arguments.append(after)
    query = f"SELECT {columns} FROM {schema}execution"
    if where:
        query += " WHERE " + " AND ".join(where)
    if due_before is not None and not newest_first and after is None:  # the longest due first: nobody is passed by for long
        query += " ORDER BY due_at, id"
    else:
        query += f" ORDER BY {plain}id {'DESC' if newest_first else 'ASC'}"
    if limit is not None:
        query += f" LIMIT {mark}"
        arguments.append(limit)
    return query, arguments


def pending_query(
    kind: str | None,
    execution: str | None,
    key: str | None,
    due_before: float | None,
    limit: int | None,
    *,
    schema: str = "",
    mark: str = "?",
) -> tuple[str, list[Any]]:
    """``Store.pending`` as a query and its arguments; ``mark`` stands where a value goes."""
    where: list[str] = []
    arguments: list[Any] = []
    for column, value in (("p.kind", kind), ("e.id", execution), ("p.key", key)):
        if value is not None:
            where.append(f"{column} = {mark}")
            arguments.append(clean(value))
    if due_before is not None:
        where.append(f"p.due_at <= {mark}")
        arguments.append(due_before)
    query = f"SELECT e.id, p.kind, p.key, p.due_at, p.body FROM {schema}pending p JOIN {schema}execution e ON e.no = p.no"
    if where:
        query += " WHERE " + " AND ".join(where)
    query += " ORDER BY p.due_at IS NULL, p.due_at, e.id, p.key"
    if limit is not None:
        query += f" LIMIT {mark}"
        arguments.append(limit)
    return query, arguments

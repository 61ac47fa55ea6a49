"""Rows of a store <-> the nouns of ``holdfast.model``; shared by all stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.errors import LookupFailedError
from holdfast.model.entry import Draft, Entry
from holdfast.model.execution import Change, Execution, Mode, Status

#: Columns of a header, in the order of :func:`execution_row`.
HEADER: Final = (
    "id", "runbook", "path", "notebook", "parameters", "mode", "status", "reason", "created_at", "updated_at", "started_by",
    "parent", "forked_from", "key", "due_at", "fence", "owner", "lease_until",
)  # fmt: skip

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def body_bytes(body: Mapping[str, Any] | bytes) -> bytes:
    """The body of a draft as msgpack.

    Raises:
        TypeError: a value that msgpack cannot hold (encode it with ``codecs.values`` first).
    """
    if isinstance(body, bytes):
        return body
    if not body:
        return b""
    try:
        return _encode(body if type(body) is dict else dict(body))
    except UnicodeEncodeError:
        return _encode(_clean_all(dict(body)))


def clean(text: str | None) -> str | None:
    """Text that every store takes: what is not UTF-8 (names of files, output of commands) and NUL are written as escapes."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _clean_all(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {_clean_all(k): _clean_all(v) for k, v in value.items()}
    return [_clean_all(v) for v in value] if isinstance(value, (list, tuple)) else value


#: Beside the parameters in their column; no name of a parameter.
_SECRETS: Final = "*secrets"


def _with_secrets(execution: Execution) -> dict[str, Any]:
    return {**execution.parameters, _SECRETS: execution.secrets} if execution.secrets else execution.parameters


def execution_row(execution: Execution, now: float) -> tuple[Any, ...]:
    """The header as a row of :data:`HEADER`; ``now`` fills times that are not set."""
    e = execution
    created = e.created_at or now
    return (
        e.id, clean(e.runbook), clean(e.path), e.notebook, _encode(_with_secrets(e)), str(e.mode), str(e.status), clean(e.reason),
        created, e.updated_at or created, clean(e.started_by), e.parent, e.forked_from, e.key, e.due_at, e.fence, e.owner, e.lease_until,
    )  # fmt: skip


def execution_of(row: Sequence[Any]) -> Execution:
    """A row of :data:`HEADER` as a header."""
    (id, runbook, path, notebook, parameters, mode, status, reason, created_at, updated_at, started_by, parent, forked_from, key, due_at,
     fence, owner, lease_until) = row  # fmt: skip
    given = _decode(parameters)
    secrets = tuple(given.pop(_SECRETS, ()))
    return Execution(
        id=id, runbook=runbook, path=path, notebook=notebook, parameters=given, secrets=secrets, mode=Mode(mode), status=Status(status),
        reason=reason, created_at=created_at, updated_at=updated_at, started_by=started_by, parent=parent, forked_from=forked_from,
        key=key, due_at=due_at, fence=fence, owner=owner, lease_until=lease_until,
    )  # fmt: skip


def draft_row(draft: Draft, at: float, fence: int | None) -> tuple[Any, ...]:
    """A draft as ``(kind, step, key, at, fence, actor, once, body)``."""
    return draft.kind, clean(draft.step), clean(draft.key), at, fence, clean(draft.actor), clean(draft.once), body_bytes(draft.body)


def entry_of(execution: str, row: Sequence[Any]) -> Entry:
    """``(seq, kind, step, key, at, fence, actor, body)`` as an entry."""
    seq, kind, step, key, at, fence, actor, body = row
    return Entry(execution=execution, seq=seq, kind=kind, step=step, key=key, at=at, fence=fence, actor=actor, body=body)


def unknown_execution(execution: str) -> LookupFailedError:
    """HF601, for every store."""
    return LookupFailedError("HF601", "no such execution", execution=execution, cure="`holdfast list` shows those there are.")


def change_columns(change: Change | None) -> dict[str, Any]:
    """The columns of a header that ``change`` sets."""
    if change is None:
        return {}
    sets: dict[str, Any] = {}
    if change.status is not None:
        sets["status"] = str(change.status)
    if change.reason is not None:
        sets["reason"] = clean(change.reason)
    if change.path is not None:
        sets["path"] = clean(change.path)
    if change.notebook is not None:
        sets["notebook"] = change.notebook
    if change.due_at is not None:
        sets["due_at"] = change.due_at or None
    return sets

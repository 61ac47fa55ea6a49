"""Execution: one journey of one runbook to its end, across kernels, crashes and Dagster runs."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from holdfast.foundation.secrets import MASK

#: What a new id ends in: easily read, told apart and typed.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


class Status(StrEnum):
    """``queued -> running <-> suspended``, ``running <-> paused``, then one of the three ends."""

    QUEUED = "queued"
    RUNNING = "running"
    SUSPENDED = "suspended"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the execution has come to its end (a failed one may still be resumed by a person)."""
        return self in _ENDED


_ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


class Mode(StrEnum):
    """Who drives the cells."""

    BATCH = "batch"  # the engine: command line, papermill, Dagster
    INTERACTIVE = "interactive"  # a person in JupyterLab or Notebook
    SHELL = "shell"  # a person at `holdfast shell`; cells have no notebook


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The header of an execution: what lists show and what claims check. The journal keeps it in step with the entries."""

    id: str
    runbook: str  # the notebook's name without folder and ending
    path: str | None = None  # where the notebook lay, absolute; None for a shell
    notebook: bytes | None = None  # digest of the pinned notebook text (a blob)
    parameters: dict[str, Any] = {}  # as given, JSON types: what the cells get; people are shown `shown_parameters`
    secrets: tuple[str, ...] = ()  # names of the parameters that are shown to nobody
    mode: Mode = Mode.BATCH
    status: Status = Status.QUEUED
    reason: str = ""  # why it is suspended, paused, failed or cancelled
    created_at: float = 0.0  # seconds since the epoch
    updated_at: float = 0.0
    started_by: str = ""
    parent: str | None = None  # the execution that started this one
    forked_from: str | None = None  # `holdfast rerun --from`
    key: str | None = None  # idempotency key of the start, unique in the journal
    due_at: float | None = None  # when a suspended execution should be continued at the latest
    fence: int = 0  # the highest fence ever given out
    owner: str | None = None  # see model.lease.Owner.text; None when nobody holds it
    lease_until: float | None = None

    @property
    def shown_parameters(self) -> dict[str, Any]:
        """The parameters as people may see them: a secret one is ``***``."""
        return masked(self.parameters, self.secrets)


#: What people see in place of a secret parameter.
SHOWN_SECRET: Final = MASK

#: The reason of an execution whose steps are worked on by processes of their own, while none of them runs.
BETWEEN: Final = "no step runs now; the scheduler begins the next one"


def masked(parameters: Mapping[str, Any], secrets: Collection[str]) -> dict[str, Any]:
    """``parameters`` with ``***`` in place of those named in ``secrets``; an empty one is shown to be empty."""
    return {name: MASK if name in secrets and value not in (None, "") else value for name, value in parameters.items()}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What an append alters in the header, in the same transaction. ``None`` leaves a field as it is; ``due_at`` 0 clears it.

    ``awaits`` names pending matters: unless all of them are still open, ``due_at`` is the present moment instead. So an execution
    that suspends cannot miss an answer that comes in the same instant."""

    status: Status | None = None
    reason: str | None = None
    due_at: float | None = None
    notebook: bytes | None = None
    path: str | None = None
    awaits: tuple[str, ...] = ()


def new_id(at: float) -> str:
    """An id for an execution that starts ``at`` (seconds since the epoch): ``YYYYMMDD-HHMMSS-xxxxxx``, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S-") + "".join(secrets.choice(_LETTERS) for _ in range(6))

"""``metadata.holdfast`` of cells and of the notebook: what may stand there, and what is wrong with what does."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

import msgspec

from holdfast.model.guardrail import Concurrency, Limits
from holdfast.model.policy import Policy, Retry
from holdfast.notebook.limiting import cap_problems, concurrency_problems, limit_problems
from holdfast.notebook.scheduling import (
    Automation,
    Freshness,
    Partitions,
    Schedule,
    automation_problems,
    partition_problems,
    schedule_problems,
)


class CellMetadata(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``cell.metadata.holdfast`` of a cell that starts a step."""

    step: str | None = None
    asset: str | None = None
    check: str | None = None
    teardown: str | None = None  # the step it undoes
    always: bool = False
    skip: bool = False
    description: str | None = None
    after: str | list[str] | None = None
    when: str | None = None
    retry: Retry = Retry()
    timeout: float | None = None  # seconds per attempt
    on_failure: str = "suspend"
    effects: Literal["read", "idempotent", "write", "destructive"] | None = None
    max_effects: int | None = None
    max_targets: int | None = None
    max_percent: float | None = None
    approval: bool = False  # each change needs a person's recorded consent
    pool: str | None = None
    deps: str | list[str] | None = None  # assets of other runbooks (or of none) that an asset is made from
    kinds: list[str] = []  # of an asset: what it is made with or is
    automation: Automation | None = None  # of an asset; else the runbook's
    freshness: Freshness | None = None  # of an asset; else the runbook's
    record: dict[str, Any] = {}  # written by Holdfast into output notebooks; no meaning when read

    def policy(self) -> Policy:
        """The part that is policy."""
        after = (self.after,) if isinstance(self.after, str) else None if self.after is None else tuple(self.after)
        return Policy(
            after=after,
            when=self.when,
            retry=self.retry,
            timeout=self.timeout,
            on_failure=self.on_failure,
            effects=self.effects,
            max_effects=self.max_effects,
            max_targets=self.max_targets,
            max_percent=self.max_percent,
            approval=self.approval,
            pool=self.pool,
        )


_SHOWN = 24  # more names than this are no help in one line

#: The keys of ``cell.metadata.holdfast`` that only make sense on a cell that starts a step.
STEP_KEYS = frozenset(CellMetadata.__struct_fields__) - {"record", "always", "skip"}


class RunbookMetadata(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``metadata.holdfast`` of the notebook: the header card, and what starts and limits its executions.

    The object ``notify`` is checked by the room that acts on it.
    """

    title: str | None = None
    description: str | None = None
    owner: str | None = None
    escalation: str | None = None
    severity: str | None = None
    impact: str | None = None
    never: str | list[str] | None = None  # what not to do
    minutes: float | None = None  # how long it takes, about
    reviewed: str | None = None  # date of the last review, ISO 8601
    version: str | None = None
    group: str | None = None
    labels: dict[str, str] = {}
    commands: str | list[str] | None = None  # further tables of shell commands that only read, relative to the notebook
    concurrency: Concurrency | None = None
    schedule: Schedule | list[Schedule] | None = None
    partitions: Partitions | None = None
    automation: Automation | None = None  # of all its assets
    freshness: Freshness | None = None  # of all its assets
    notify: dict[str, Any] = {}
    limits: Limits = Limits()
    parameters: dict[str, dict[str, Any]] = {}  # JSON Schema to add to a parameter's own: minimum, pattern, title ...
    record: dict[str, Any] = {}  # written by Holdfast into output notebooks; no meaning when read

    @property
    def schedules(self) -> list[Schedule]:
        """Its schedules, however many."""
        return [] if self.schedule is None else self.schedule if isinstance(self.schedule, list) else [self.schedule]


def near(word: str, known: Collection[str]) -> str:
    """``did you mean 'x'?`` for the nearest of ``known``, else the list of all when it is short."""
    match = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    if match:
        return f"did you mean {match[0]!r}?"
    return f"known: {', '.join(sorted(known))}" if 0 < len(known) <= _SHOWN else ""


def cell_metadata(raw: Any) -> tuple[CellMetadata, list[tuple[str, str]]]:
    """Validate ``cell.metadata.holdfast``.

    Returns:
        what is valid of it, and the problems as (message, cure).
    """
    value, problems = _convert(raw, CellMetadata)
    problems += list(_ranges(value))
    return value, problems


def runbook_metadata(raw: Any) -> tuple[RunbookMetadata, list[tuple[str, str]]]:
    """Validate ``notebook.metadata.holdfast``, as :func:`cell_metadata` does."""
    value, problems = _convert(raw, RunbookMetadata)
    problems += list(schedule_problems(value.schedules))
    problems += list(partition_problems(value.partitions)) if value.partitions else []
    problems += list(automation_problems(value.automation, value.freshness))
    problems += [*limit_problems(value.limits), *concurrency_problems(value.concurrency)]
    return value, problems


def _ranges(m: CellMetadata) -> Iterator[tuple[str, str]]:
    if m.timeout is not None and not m.timeout > 0:
        yield "'timeout' must be more than 0 seconds", "give the seconds one attempt may take"
    yield from cap_problems(m.max_effects, m.max_targets, m.max_percent)
    yield from automation_problems(m.automation, m.freshness)
    if not 0 <= m.retry.count <= 100:
        yield "'retry.count' must be from 0 to 100", "give the number of attempts after the first"
    if m.retry.delay < 0 or m.retry.max_delay < 0:
        yield "'retry.delay' and 'retry.max_delay' must not be negative", "give seconds"


def _convert(raw: Any, model: Any) -> tuple[Any, list[tuple[str, str]]]:
    """Take each key that is valid by itself, so that one bad key does not hide the others."""
    if raw is None:
        return model(), []
    if not isinstance(raw, dict):
        return model(), [("'holdfast' must be an object", 'write {"holdfast": {"step": "name"}}')]
    problems: list[tuple[str, str]] = []
    good: dict[str, Any] = {}
    fields = _fields(model)
    for key, value in raw.items():
        if key not in fields:
            problems.append((f"unknown key {key!r}", near(str(key), set(fields))))
            continue
        if key == "retry" and isinstance(value, dict):
            unknown = [k for k in value if k not in Retry.__struct_fields__]
            problems += [(f"unknown key 'retry.{k}'", near(str(k), set(Retry.__struct_fields__))) for k in unknown]
            value = {k: v for k, v in value.items() if k not in unknown}
        if key == "limits" and isinstance(value, dict):
            unknown = [k for k in value if k not in Limits.__struct_fields__]
            problems += [(f"unknown key 'limits.{k}'", near(str(k), set(Limits.__struct_fields__))) for k in unknown]
            value = {k: v for k, v in value.items() if k not in unknown}
        try:
            good[key] = msgspec.convert(value, fields[key])
        except msgspec.ValidationError as error:
            problems.append((f"{key!r}: {error}", _allowed(fields[key])))
    return model(**good), problems


@cache
def _fields(model: Any) -> dict[str, Any]:
    """The model's fields with their types (resolving them anew for each of a thousand cells takes seconds)."""
    return {f.name: f.type for f in msgspec.structs.fields(model)}


def _allowed(kind: Any) -> str:
    literals = [a for arg in (kind, *get_args(kind)) if get_origin(arg) is Literal for a in get_args(arg)]
    return f"one of: {', '.join(map(str, literals))}" if literals else "see docs/reference/notebook-metadata.md"

"""How executions went: success rate, time per step, where people were waited for."""

from __future__ import annotations

from statistics import median
from typing import Final

from pydantic import BaseModel, Field

from holdfast.gateway.asker import Asker
from holdfast.model.entry import Kind
from holdfast.model.execution import Execution, Status

_NEWEST: Final = 200  # executions that are looked at
_KINDS: Final = (
    Kind.CELL_COMPLETED,
    Kind.STEP_FAILED,
    Kind.PROMPT_OPENED,
    Kind.PROMPT_ANSWERED,
    Kind.PROMPT_EXPIRED,
    Kind.PROMPT_WITHDRAWN,
)


class StepStatistics(BaseModel):
    """One step over many executions."""

    step: str
    succeeded: int
    failed: int
    median_seconds: float | None = Field(description="Of its cells' own time.")
    prompts: int
    median_waited_seconds: float | None = Field(description="From a question to its answer.")
    waited_seconds: float


class Statistics(BaseModel):
    """One runbook."""

    runbook: str
    executions: int
    succeeded: int
    failed: int
    cancelled: int
    under_way: int
    success_rate: float | None = Field(description="Succeeded of those that succeeded or failed.")
    median_seconds: float | None = Field(description="From start to success.")
    last_succeeded_at: float | None = Field(description="Seconds since the epoch.")
    steps: list[StepStatistics]


class _Step:
    def __init__(self) -> None:
        self.succeeded = self.failed = 0
        self.took: list[float] = []
        self.waited: list[float] = []


def statistics(asker: Asker, *, runbook: str | None = None) -> list[Statistics]:
    """Of the newest executions that they may see, by runbook.

    Raises:
        StoreError.
    """
    by_runbook: dict[str, list[Execution]] = {}
    for header in asker.hall.store.headers(runbook=runbook, limit=_NEWEST):
        if asker.may("see", header.runbook):
            by_runbook.setdefault(header.runbook, []).append(header)
    return [_of(asker, name, headers) for name, headers in sorted(by_runbook.items())]


def _of(asker: Asker, runbook: str, headers: list[Execution]) -> Statistics:
    counts = {s: sum(1 for h in headers if h.status == s) for s in Status}
    good, bad = counts[Status.SUCCEEDED], counts[Status.FAILED]
    steps: dict[str, _Step] = {}
    for header in headers:
        _fold(asker, header, steps)
    took = [h.updated_at - h.created_at for h in headers if h.status == Status.SUCCEEDED]
    return Statistics(
        runbook=runbook, executions=len(headers), succeeded=good, failed=bad, cancelled=counts[Status.CANCELLED],
        under_way=len(headers) - good - bad - counts[Status.CANCELLED], success_rate=good / (good + bad) if good + bad else None,
        median_seconds=median(took) if took else None,
        last_succeeded_at=max((h.updated_at for h in headers if h.status == Status.SUCCEEDED), default=None),
        steps=[
            StepStatistics(
                step=name, succeeded=s.succeeded, failed=s.failed, median_seconds=median(s.took) if s.took else None,
                prompts=len(s.waited), median_waited_seconds=median(s.waited) if s.waited else None, waited_seconds=sum(s.waited),
            )
            for name, s in steps.items()
        ],
    )  # fmt: skip


def _fold(asker: Asker, header: Execution, steps: dict[str, _Step]) -> None:
    opened: dict[str, float] = {}
    spent: dict[str, float] = {}
    for entry in asker.hall.store.read(header.id, kinds=_KINDS):
        if entry.step in (None, "parameters", "setup"):
            continue
        step = steps.setdefault(entry.step, _Step())
        if entry.kind == Kind.PROMPT_OPENED:
            opened[entry.key or ""] = entry.at
        elif entry.kind == Kind.STEP_FAILED:
            step.failed += 1
        elif entry.kind == Kind.CELL_COMPLETED:
            body = entry.data
            spent[entry.step] = spent.get(entry.step, 0.0) + max(0.0, (body.get("ended_at") or 0.0) - (body.get("started_at") or 0.0))
            if body.get("last"):
                step.succeeded += 1
                step.took.append(spent.pop(entry.step))
        elif entry.key in opened:
            step.waited.append(entry.at - opened.pop(entry.key))

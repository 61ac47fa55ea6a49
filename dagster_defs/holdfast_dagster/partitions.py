"""Partitions of a runbook: slices for which it is executed one by one, each key given as a parameter."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import dagster as dg

from holdfast_dagster.runbook import Runbook

_BY_TIME: dict[str, Any] = {
    "hourly": dg.HourlyPartitionsDefinition,
    "daily": dg.DailyPartitionsDefinition,
    "weekly": dg.WeeklyPartitionsDefinition,
    "monthly": dg.MonthlyPartitionsDefinition,
}


def partitions_definition(runbook: Runbook) -> dg.PartitionsDefinition[Any] | None:
    """The partitions the runbook's metadata names; None where it names none."""
    partitions = runbook.card.partitions
    if partitions is None:
        return None
    if partitions.type == "static":
        return dg.StaticPartitionsDefinition(partitions.values)
    words: dict[str, Any] = {"start_date": datetime.fromisoformat(partitions.start or ""), "timezone": partitions.timezone}
    if partitions.end is not None:
        words["end_date"] = datetime.fromisoformat(partitions.end)
    made: dg.PartitionsDefinition[Any] = _BY_TIME[partitions.type](**words)
    return made


def due_partitions(runbook: Runbook, at: datetime) -> list[str | None]:
    """The keys that a schedule's tick executes: the latest slice that is over, or every static one. ``[None]``: no partitions."""
    made = partitions_definition(runbook)
    if made is None:
        return [None]
    if isinstance(made, dg.TimeWindowPartitionsDefinition):
        with dg.partition_loading_context(effective_dt=at):
            last = made.get_last_partition_key()
        return [last] if last is not None else []
    return list(made.get_partition_keys())

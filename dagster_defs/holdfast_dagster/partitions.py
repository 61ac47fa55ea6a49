"""Partitions of a runbook: slices for which it is executed one by one, each key given as a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.partitions.utils.base import INVALID_PARTITION_SUBSTRINGS

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
    if partitions.type == "dynamic":
        return dg.DynamicPartitionsDefinition(name=partitions.name or runbook.name)
    if partitions.type == "static":
        return dg.StaticPartitionsDefinition(partitions.values)
    words: dict[str, Any] = {"start_date": datetime.fromisoformat(partitions.start or ""), "timezone": partitions.timezone}
    if partitions.end is not None:
        words["end_date"] = datetime.fromisoformat(partitions.end)
    made: dg.PartitionsDefinition[Any] = _BY_TIME[partitions.type](**words)
    return made


def partition_of(runbook: Runbook, parameters: Mapping[str, Any], instance: dg.DagsterInstance) -> str | None:
    """The key that an execution with these parameters is about; None: none of the partitions. A new key of dynamic ones is added."""
    made, partitions = partitions_definition(runbook), runbook.card.partitions
    if made is None or partitions is None or partitions.parameter not in parameters:
        return None
    key = str(parameters[partitions.parameter])
    if isinstance(made, dg.DynamicPartitionsDefinition) and made.name is not None:
        secret = any(p.secret for p in runbook.manifest.parameters if p.name == partitions.parameter)
        if secret or not key or any(part in key for part in INVALID_PARTITION_SUBSTRINGS):
            return None
        instance.add_dynamic_partitions(made.name, [key])
        return key
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        return key if made.has_partition_key(key) else None


def due_partitions(runbook: Runbook, at: datetime, instance: dg.DagsterInstance | None = None) -> list[str | None]:
    """The keys that a schedule's tick executes: the latest slice that is over, or every static or dynamic one. ``[None]``: none."""
    made = partitions_definition(runbook)
    if made is None:
        return [None]
    if isinstance(made, dg.TimeWindowPartitionsDefinition):
        with dg.partition_loading_context(effective_dt=at):
            last = made.get_last_partition_key()
        return [last] if last is not None else []
    return list(made.get_partition_keys(dynamic_partitions_store=instance))

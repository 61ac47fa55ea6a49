"""Runbooks in Dagster: tagged cells as ops and assets, schedules, sensors.

``build_definitions(path)`` makes the definitions of a folder of runbooks; ``RunbookComponent`` does it from a ``defs.yaml``.
"""

from holdfast_dagster.component import RunbookComponent, RunbookSchedule
from holdfast_dagster.definitions import build_definitions
from holdfast_dagster.executor import holdfast_executor

__all__ = ["RunbookComponent", "RunbookSchedule", "build_definitions", "holdfast_executor"]

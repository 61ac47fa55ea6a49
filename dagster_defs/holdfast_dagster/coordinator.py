"""A run queue that is looked at twice a second: Dagster's own counts in whole seconds, and an alert should not wait for one."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

from holdfast_dagster.storing import outlast_locks


class HoldfastRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue, with its settings and its limits; only ``dequeue_interval_seconds`` may be a part of a second.

    Dagster's daemon sleeps for half a second at a time, so that anything shorter means twice a second.

    Args:
        dequeue_interval_seconds: seconds between two looks; default 0.25.
    """

    def __init__(self, dequeue_interval_seconds: float | None = None, **settings: Any) -> None:
        outlast_locks()  # every process that opens the instance makes its coordinator first, and its launcher when it needs one
        self._interval = 0.25 if dequeue_interval_seconds is None else max(dequeue_interval_seconds, 0.05)
        super().__init__(**settings)

    @property
    def dequeue_interval_seconds(self) -> float:  # type: ignore[override]
        """Seconds between two looks."""
        return self._interval

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The settings in ``dagster.yaml``."""
        what = "Seconds between two looks at the queue; parts of a second are allowed."
        settings: Any = super().config_type()
        return {**settings, "dequeue_interval_seconds": dg.Field(dg.Float, is_required=False, description=what)}


__all__ = ["HoldfastRunCoordinator"]

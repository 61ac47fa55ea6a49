"""How Dagster has spread a run over processes."""

from __future__ import annotations

from typing import Any

import dagster as dg
import psutil

#: So often Dagster starts another process for a step whose process died. What fails otherwise is not tried again by Dagster. Without a
#: delay: an executor of Dagster's that is resumed within it fails the run (see :func:`holdfast_dagster.internals.past_retries`).
DEATHS = dg.RetryPolicy(max_retries=3)


def alone_in_its_process(context: Any) -> bool:
    """Whether this process was started for one step only: by the multiprocess executor, in a pod, a container.

    Such a process leaves Dagster's retries to the one above it; a run of one step, or of one selected, makes them itself.

    Args:
        context: of the op.
    """
    here = context.get_step_execution_context()
    return len(here.execution_plan.step_keys_to_execute) == 1 and not here.retry_mode.enabled


def run_worker(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that Dagster has started for the run: this one, or one that has started this one; None where that is not known."""
    started = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START)
    pid = started[-1].dagster_event.pid if started and started[-1].dagster_event else None
    me = psutil.Process()
    return pid if pid is not None and pid in {me.pid, *(p.pid for p in me.parents())} else None

"""How Dagster has spread a run over processes."""

from __future__ import annotations

from typing import Any

import dagster as dg

#: So often Dagster starts another process for a step whose process died. What fails otherwise is not tried again by Dagster.
DEATHS = dg.RetryPolicy(max_retries=3, delay=1)


def alone_in_its_process(context: Any) -> bool:
    """Whether this process was started for one step only: by the multiprocess executor, in a pod, a container.

    Args:
        context: of the op.
    """
    plan = context.get_step_execution_context().execution_plan
    return len(plan.step_keys_to_execute) == 1

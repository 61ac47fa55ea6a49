"""The executor that generated jobs use."""

from __future__ import annotations

import dagster as dg
from dagster import Executor

from holdfast_dagster.internals import HoldfastExecutor


@dg.executor(name="holdfast")
def holdfast_executor(context: dg.InitExecutorContext) -> Executor:
    """Steps run one after the other in the run's process and share its kernels; the run is suspended while it waits.

    Where the instance cannot suspend runs (see :func:`holdfast_dagster.capability.capability`), a step that waits ends without outputs, so
    that the steps after it are skipped, and the resume sensor launches a further run that continues the execution.
    """
    return HoldfastExecutor()

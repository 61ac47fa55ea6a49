"""What the body of a generated op calls: run one step of the run's execution, hearing of its progress in Dagster's event log meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from holdfast_dagster.sessions import RunSessions, StepResult
from holdfast_dagster.storing import outlast_locks

__all__ = ["StepResult", "holdfast_resource", "run_step"]


@dg.resource(description="The kernels and executions of this run.")
def holdfast_resource(context: Any) -> Any:
    """The resource that generated ops require under :data:`names.RESOURCE`: a :class:`RunSessions`, closed when the run lets go of it.

    In-process executors make it once per run, so all steps share their kernels; under the multiprocess executor each step's process has
    its own.
    """
    outlast_locks()
    sessions = RunSessions(context.instance, context.run.run_id)
    try:
        yield sessions
    finally:
        sessions.close()


def run_step(context: Any, runbook: Path | str, step: str, parameters: Mapping[str, Any] | None = None) -> StepResult:
    """Run ``step`` of ``runbook`` for this Dagster run; what its cells print goes to the event log as it comes.

    The run and the runbook together are one execution, begun with the first step that runs. A step that the journal has as completed is
    not run again.

    Args:
        context: the op's context; the op requires the resource :data:`names.RESOURCE` (:func:`holdfast_resource`).
        runbook: the notebook's file.
        step: the step's name in the manifest.
        parameters: of the execution, with types; all steps of one runbook in one run give the same.

    Returns:
        how it ended, in one of four states. ``succeeded``: yield the op's outputs. ``skipped`` (its ``when`` was false, or its author said
        so) and ``tolerated`` (it failed and ``on_failure`` says to go on): yield the output that orders the steps after it, but
        materialise nothing. ``suspended`` (only where the instance cannot suspend runs): yield nothing, so that what follows is skipped;
        a later run continues it.

    Raises:
        dagster.Failure: the step failed for good, or the execution was stopped before it. Retries are over by then: the journal counts
            them, so the op needs no ``RetryPolicy``.
        Suspended: under the Holdfast executor on an instance that can: the step waits, and so will the run.
        HoldfastError: the installation or the runbook stands in the way.
    """
    sessions: RunSessions = context.resources.holdfast
    return sessions.run(context, Path(runbook), step, dict(parameters or {}))

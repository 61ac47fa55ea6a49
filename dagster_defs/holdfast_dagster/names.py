"""Names that Holdfast puts on Dagster's objects: tags, metadata keys, resource keys. One place, so that both sides of a seam agree."""

from __future__ import annotations

from typing import Final

#: Resource that every generated op requires; it owns the kernels of the run and lets go of the executions when the run ends.
RESOURCE: Final = "holdfast"

# -- tags of runs

#: The execution that a run works on. With several runbooks in one run: one of them; each is also under ``EXECUTION/ID``.
EXECUTION: Final = "holdfast/execution_id"
#: On ops and jobs: the runbook's name.
RUNBOOK: Final = "holdfast/runbook"
#: On runs: the idempotency key they were launched with.
KEY: Final = "holdfast/key"
#: On runs launched for an execution that exists already (a continuation): its id. The run continues it instead of making a new one.
CONTINUES: Final = "holdfast/continues"
#: On runs of executions that another execution has started: its id.
PARENT: Final = "holdfast/parent"
#: On runs whose worker was started by Holdfast's launcher: who it is (hidden in the UI, as every tag with this prefix).
WORKER: Final = ".dagster/holdfast_worker"

#: On a suspended run that a person lets go on: its next worker renews retry budgets and ends a pause.
BY_PERSON: Final = ".dagster/holdfast_by_person"

#: On a suspended run: which pause its log has told of.
TOLD: Final = ".dagster/holdfast_told"

#: On a failed run: ``true`` while its execution is still to be continued by another one.
TO_CONTINUE: Final = ".dagster/holdfast_to_continue"

# -- tags and metadata of ops

#: On ops: the step's name.
STEP: Final = "holdfast/step"
#: On ops: ``true`` where the step also runs after a failure.
ALWAYS: Final = "holdfast/always"
#: On ops: where the runbook's file is.
NOTEBOOK: Final = "holdfast/notebook"

#: The code location that ``holdfast up`` serves.
LOCATION: Final = "holdfast_dagster.here"

# -- what is launched by what

#: Name of the sensor that continues suspended executions when they are due.
RESUME_SENSOR: Final = "holdfast_resume"
#: Name of the sensor that starts runbooks for events.
EVENT_SENSOR: Final = "holdfast_events"


def execution_tag(execution: str) -> str:
    """The run tag under which an execution is found beside those of other runbooks of the run: the id is in the name, so that several
    processes of one run can each write theirs."""
    return f"{EXECUTION}/{execution}"

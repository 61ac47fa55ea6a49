"""Which execution a Dagster run works on: a new one, its own, or the one of the run that it re-executes or continues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec

from holdfast.client import Client
from holdfast.errors import AuthorError, LookupFailedError, OperatorError
from holdfast.model.execution import SHOWN_SECRET, Execution, Status
from holdfast_dagster import names
from holdfast_dagster.config_schema import Hidden
from holdfast_dagster.runbook import dagster_name

#: Dagster's own tag on a run that re-executes another "from failure".
_FROM_FAILURE = "dagster/is_resume_retry"
#: Says that the execution tags were written for this very run; a re-execution inherits its parent's tags.
_POINTED = ".dagster/holdfast_run"
#: Dagster's own tags on runs that no person launched.
_BY_ITSELF = {
    "dagster/from_automation_condition": "automation",
    "dagster/auto_materialize": "automation",
    "dagster/backfill": "backfill",
    "dagster/schedule_name": "schedule",
    "dagster/sensor_name": "sensor",
}


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The execution, and why it goes on without a person's word when it does."""

    header: Execution
    reason_to_wait: str | None = None


def choose_execution(
    client: Client, instance: dg.DagsterInstance, run: dg.DagsterRun, runbook: Path, parameters: Mapping[str, Any]
) -> Chosen:
    """The execution of ``runbook`` in ``run``; the same each time it is asked for the same run.

    A new run starts a new execution. "Re-execute from failure" continues the parent's, and so does a re-execution of selected steps
    that had not come to their end. When one of the selected steps had, a new execution takes over all that does not come after the first
    of them, and runs those anew. A continuation (tag :data:`names.CONTINUES`) goes on with the one it names.

    Raises:
        LookupFailedError, AuthorError, OperatorError, StoreError: as ``Client.start`` and ``Client.fork``.
    """
    continued = run.tags.get(names.CONTINUES) if run.parent_run_id is None else None
    if continued is not None and (header := of_runbook([client.get(continued)], runbook)) is not None:
        return Chosen(header=header, reason_to_wait="due")
    before = run.tags.get("dagster/parent_run_id") if continued is not None else None
    if before is not None and (other := _of_parent(client, instance, before, runbook)) is not None:
        return Chosen(header=other, reason_to_wait="due")  # of another runbook in the run that is continued
    if (own := of_runbook(executions_of(client, run), runbook)) is not None:
        return Chosen(header=own)  # without a look at the file, which may have gone
    if run.parent_run_id is not None:
        source = _of_parent(client, instance, run.parent_run_id, runbook)
        if source is not None:
            again = _again(client, run, source)
            if again is not None:
                return Chosen(header=again)
        parameters = _with_secrets(parameters, source)
    if hidden := ", ".join(name for name, value in parameters.items() if isinstance(value, Hidden)):
        what = f"{hidden} is secret, so the run's configuration has {SHOWN_SECRET} in its place"
        raise AuthorError("HF103", what, cure=f"launch the runbook anew and give {hidden}", runbook=runbook.stem)
    key = f"dagster/{run.run_id}/{runbook.absolute()}"  # by its path: two runbooks of one run may have the same name
    return Chosen(header=client.start(runbook, parameters, key=key, via=started_via(run), queued=False))


def started_via(run: dg.DagsterRun) -> str:
    """How the run came to be, as the execution notes it; guardrails tell by it whether a person started it."""
    for tag, what in _BY_ITSELF.items():
        if tag in run.tags:
            return f"{what} {run.tags[tag]} (dagster)"
    return "dagster"


def of_runbook(executions: Sequence[Execution], runbook: Path) -> Execution | None:
    """The last of ``executions`` that is one of ``runbook``: by its path or, where the only one's file has gone, by its name."""
    exact = [e for e in executions if e.path == str(runbook.absolute())]
    if exact:
        return exact[-1]
    moved = [e for e in executions if e.runbook == runbook.stem and not Path(e.path or "").exists()]
    return moved[0] if len(moved) == len(executions) == 1 else None


def executions_of(client: Client, run: dg.DagsterRun) -> list[Execution]:
    """The executions that ``run`` works on, as its tags say."""
    if run.tags.get(_POINTED) != run.run_id:
        return []
    found = []
    for tag, value in run.tags.items():
        if tag == names.EXECUTION or tag.startswith(names.EXECUTION + "/"):
            try:
                found.append(client.get(value))
            except LookupFailedError:
                continue
    return list({e.id: e for e in found}.values())


def point_run_at(instance: dg.DagsterInstance, run: dg.DagsterRun, chosen: Chosen) -> None:
    """Write the execution into the run's tags."""
    tags = dict(run.tags) if run.tags.get(_POINTED) == run.run_id else {}
    id = chosen.header.id
    if id in tags.values():
        return
    first = {names.EXECUTION: id} if names.EXECUTION not in tags else {}
    instance.add_run_tags(run.run_id, {**first, names.execution_tag(id): id, _POINTED: run.run_id})


def run_of(instance: dg.DagsterInstance, execution: str, runbook: str) -> dg.DagsterRun | None:
    """The latest run that works on an execution."""
    for tag in (names.EXECUTION, names.execution_tag(execution)):
        for run in instance.get_runs(filters=dg.RunsFilter(tags={tag: execution}), limit=5):
            if run.tags.get(_POINTED) == run.run_id:
                return run
    return None


def _with_secrets(parameters: Mapping[str, Any], source: Execution | None) -> Mapping[str, Any]:
    """``parameters`` with the secrets of the execution that is done again, which Dagster does not have."""
    known = {name: source.parameters[name] for name in source.secrets if name in source.parameters} if source is not None else {}
    return {name: known.get(name, value) if isinstance(value, Hidden) else value for name, value in parameters.items()}


def _of_parent(client: Client, instance: dg.DagsterInstance, parent_id: str, runbook: Path) -> Execution | None:
    parent = instance.get_run_by_id(parent_id)
    if parent is None:
        return None
    return of_runbook(executions_of(client, parent), runbook)


def _again(client: Client, run: dg.DagsterRun, source: Execution) -> Execution | None:
    """What a re-execution works on; None: an execution of its own."""
    selected = _selected_steps(client, run, source)
    if run.tags.get(_FROM_FAILURE) == "true":
        if source.status != Status.CANCELLED:
            return source
        unfinished = _unfinished(client, source)
        return None if unfinished is None else _forked(client, source, unfinished, run)
    if not selected:
        return None
    if source.status != Status.CANCELLED and not set(selected) & _finished(client, source):
        return source  # none of them has come to its end: going on repeats nothing that is recorded
    return _forked(client, source, selected[0], run)


def _forked(client: Client, source: Execution, step: str, run: dg.DagsterRun) -> Execution | None:
    id = f"{source.id}-{run.run_id[:8]}"
    try:
        return client.fork(source.id, step, new_id=id, queued=False)
    except OperatorError as error:
        if error.code == "HF224":
            return client.get(id)
        if error.code == "HF253":  # it never came to that step: nothing can be taken over
            return None
        raise


def _finished(client: Client, source: Execution) -> set[str]:
    return {s.id for s in client.history(source.id).steps if s.state in ("succeeded", "skipped")}


def _unfinished(client: Client, source: Execution) -> str | None:
    steps = [s for s in client.history(source.id).steps if s.teardown_of is None]
    return next((s.id for s in steps if s.state not in ("succeeded", "skipped")), None)


def _selected_steps(client: Client, run: dg.DagsterRun, source: Execution) -> list[str]:
    """The steps of a re-execution that is limited to some, in the runbook's order; empty when it runs all."""
    keys = run.step_keys_to_execute
    if not keys:
        return []
    manifest = client.history(source.id).manifest
    every = [s.name for s in manifest.steps if s.teardown_of is None] if manifest else []
    last = {key.rpartition(".")[2] for key in keys}
    chosen = [name for name in every if dagster_name(name) in last]
    return [] if len(chosen) == len(every) else chosen

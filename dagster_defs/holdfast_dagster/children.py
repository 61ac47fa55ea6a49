"""Children of executions that Dagster runs. A child begins in its parent's worker, in a kernel of its own. One that is left behind (it
waits longer than its parent's worker lives, or that worker died) goes on as a Dagster run of its own."""

from __future__ import annotations

import logging

import dagster as dg

from holdfast.client import Client
from holdfast.client.waking import ancestors, claim_wake_up, left_children
from holdfast.errors import AuthorError, LookupFailedError
from holdfast.model.execution import Execution
from holdfast_dagster import names
from holdfast_dagster.choosing import run_of
from holdfast_dagster.launching import launch_existing

_log = logging.getLogger("holdfast.dagster")


def adopt_children(instance: dg.DagsterInstance, client: Client, *, by: str) -> list[str]:
    """Launch a run for every child that may go on, whose family nobody works on, and that has no run yet.

    Safe beside ``holdfast worker`` and other callers: one of them acts.

    Args:
        by: who asks, for the record.

    Returns:
        the ids of the runs.

    Raises:
        StoreError: the journal cannot be reached.
    """
    found = [adopt(instance, client, child, by=by) for child in left_children(client)]
    return [run for run in found if run is not None]


def adopt(instance: dg.DagsterInstance, client: Client, child: Execution, *, by: str) -> str | None:
    """Launch a run for a child that was left behind; returns its id, None when it has one, is none of Dagster's, or others act."""
    if run_of(instance, child.id, child.runbook) is not None or family_run(instance, client, child) is None:
        return None
    if not claim_wake_up(client, child.id, by):
        return None
    try:
        launched = launch_existing(instance, child, tags={names.PARENT: str(child.parent)})
    except (AuthorError, LookupFailedError) as error:  # its notebook is not here, or broken by now: `holdfast resume` says the same
        _log.error("execution %s: %s", child.id, error)
        return None
    return launched.run if launched.new else None


def family_run(instance: dg.DagsterInstance, client: Client, child: Execution) -> dg.DagsterRun | None:
    """The run of the nearest execution above ``child`` that has one: of its parent, of its parent's parent, and so on."""
    return next((run for above in ancestors(client, child) if (run := run_of(instance, above.id, above.runbook)) is not None), None)


__all__ = ["adopt", "adopt_children", "family_run"]

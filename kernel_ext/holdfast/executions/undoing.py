"""Undoing a failed execution by its teardown steps, because a person asked for it."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from holdfast.errors import LookupFailedError, OperatorError
from holdfast.executions.history import History, history
from holdfast.journal.errors import OnceTaken
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Mode, Status

ROLLBACK = "rollback"  # `what` of the request


def offered(found: History) -> tuple[str, ...]:
    """The teardown steps that a rollback runs when none are named: those of the steps that have begun, the last step's first. None where
    the execution cannot be rolled back."""
    header = found.execution
    if header.status != Status.FAILED or header.mode != Mode.BATCH:
        return ()
    begun = {s.id for s in found.steps if s.state in ("succeeded", "failed")}
    return tuple(s.id for s in reversed(found.steps) if s.teardown_of in begun)


def ask_rollback(store: Store, header: Execution, names: Collection[str], *, who: str, why: str = "") -> tuple[str, ...]:
    """Write down that teardown steps are to be run, the last step's first; whoever works on the execution next runs them.

    Args:
        names: of teardown steps; none: all that belong to a step which has begun.

    Returns:
        their names, in the order in which they are run.

    Raises:
        LookupFailedError: HF603, no such teardown step. OperatorError: HF253, the execution has not failed, or has nothing to undo it.
        StoreError.
    """
    found = history(store, header)
    teardowns = [s.id for s in found.steps if s.teardown_of is not None]
    for name in names:
        if name not in teardowns:
            known = ", ".join(teardowns) or "none"
            raise LookupFailedError("HF603", f"{name!r} is no teardown step", cure=f"Its teardown steps: {known}.", execution=header.id)
    if header.status != Status.FAILED or header.mode != Mode.BATCH:
        raise OperatorError(
            "HF253",
            f"only a failed execution is rolled back; this one is {header.status}",
            cure="In JupyterLab, run the teardown cell by hand." if header.mode != Mode.BATCH else "Cancel or resume it first.",
            execution=header.id,
        )
    wanted = tuple(n for n in reversed(teardowns) if n in names) if names else offered(found)
    if not wanted:
        raise OperatorError(
            "HF253", "no teardown step belongs to a step that has begun", cure="There is nothing to undo.", execution=header.id
        )
    body = {"what": ROLLBACK, "steps": list(wanted), "who": who, "why": why}
    failures = [e.seq for e in found.entries if e.kind in (Kind.EXECUTION_FAILED, Kind.EXECUTION_PAUSED)]
    once = f"rollback:{failures[-1] if failures else 0}"  # two people who press at once ask for one
    try:
        store.append(header.id, (Draft(kind=Kind.REQUESTED, body=body, actor=who, once=once),), fence=None)
    except OnceTaken as taken:
        first = taken.entry.data
        if tuple(first["steps"]) != wanted:
            raise OperatorError(
                "HF253",
                f"{first.get('who') or 'somebody'} has asked already to undo it by {', '.join(first['steps'])}",
                cure=f"Let that go on: holdfast resume {header.id}",
                execution=header.id,
            ) from None
    return wanted


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """A rollback that was asked for and has not come to an end."""

    steps: tuple[str, ...] = ()  # teardown steps in their order; empty: none was asked for
    failed: str = ""  # why the execution had failed


def open_rollback(store: Store, execution: str) -> Rollback:
    """What was asked for and has not come to an end.

    Raises:
        StoreError.
    """
    steps: tuple[str, ...] = ()
    failed = ""
    for entry in store.read(execution, kinds=(Kind.REQUESTED, Kind.EXECUTION_FAILED, Kind.EXECUTION_CANCELLED)):
        body = entry.data
        if entry.kind != Kind.REQUESTED:
            steps, failed = (), str(body.get("reason") or failed)
        elif body.get("what") == ROLLBACK:
            steps = tuple(body["steps"])
    return Rollback(steps=steps, failed=failed)

"""Undoing a failed execution by its teardown steps, because a person asked for it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.errors import LookupFailedError, OperatorError
from holdfast.executions.history import history
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Mode, Status

ROLLBACK = "rollback"  # `what` of the request


def ask_rollback(store: Store, header: Execution, names: Sequence[str], *, who: str, why: str = "") -> tuple[str, ...]:
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
    offered = {s.id: s.teardown_of for s in found.steps if s.teardown_of is not None}
    begun = {s.id for s in found.steps if s.state in ("succeeded", "failed")}
    for name in names:
        if name not in offered:
            known = ", ".join(offered) or "none"
            raise LookupFailedError("HF603", f"{name!r} is no teardown step", cure=f"Its teardown steps: {known}.", execution=header.id)
    if header.status != Status.FAILED or header.mode != Mode.BATCH:
        raise OperatorError(
            "HF253",
            f"only a failed execution is rolled back; this one is {header.status}",
            cure="In JupyterLab, run the teardown cell by hand." if header.mode != Mode.BATCH else "Cancel or resume it first.",
            execution=header.id,
        )
    wanted = tuple(n for n in reversed(offered) if (n in names if names else offered[n] in begun))
    if not wanted:
        raise OperatorError(
            "HF253", "no teardown step belongs to a step that has begun", cure="There is nothing to undo.", execution=header.id
        )
    body = {"what": ROLLBACK, "steps": list(wanted), "who": who, "why": why}
    store.append(header.id, (Draft(kind=Kind.REQUESTED, body=body, actor=who),), fence=None)
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

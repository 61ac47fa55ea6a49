"""A fork: a new execution that takes over what came before a step, and runs from there on."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.executions.find import require_step
from holdfast.executions.history import history
from holdfast.executions.places import require_writable
from holdfast.executions.start import check_id, pinned_notebook
from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Entry, Kind
from holdfast.model.execution import Execution, Mode, Status, new_id
from holdfast.model.manifest import Manifest
from holdfast.notebook.compile import compile as compile_notebook

#: What a completed step has left behind; the copy keeps it.
_TAKEN = (
    Kind.CELL_COMPLETED,
    Kind.CALL_INTENT,
    Kind.CALL_OUTCOME,
    Kind.CALL_VERDICT,
    Kind.ITEM_COMPLETED,
    Kind.STEP_SKIPPED,
    Kind.STEP_FAILED,  # tolerated ones: what comes after them does not wait for them
    Kind.STEP_RESET,
)


def fork(
    store: Store, config: Config, source: Execution, step: str, *, id: str | None = None, output: str | None = None, queued: bool = False
) -> Execution:
    """Make the new execution.

    Steps that do not come after ``step`` keep their records, checkpoints and calls; ``step`` and what follows it start afresh, effects
    included. The source stays as it is.

    Args:
        queued: any worker may take it. Otherwise whoever makes it works on it.

    Raises:
        LookupFailedError: HF603, the runbook has no such step.
        OperatorError: HF253, the source never came to that step (or has no steps); HF254, the id; HF252, the output.
    """
    if source.mode != Mode.BATCH:
        raise OperatorError("HF253", "only an execution of a whole notebook can be run again from a step", cure="", execution=source.id)
    manifest = compile_notebook(pinned_notebook(store, source))
    require_step(manifest, step, source.id)
    _require_reached(store, source, manifest, step)
    if output is not None:
        require_writable(output)
    at = clock.now()
    if id is not None:
        check_id(id)
    again = _from_on(manifest, step)
    entries = store.read(source.id)
    created: dict[str, Any] = next((e.data for e in entries if e.kind == Kind.EXECUTION_CREATED), {})
    copy = msgspec.structs.replace(
        source,
        id=id or new_id(at),
        status=Status.QUEUED,
        reason="",
        created_at=at,
        updated_at=at,
        started_by=config.user,
        forked_from=source.id,
        parent=None,
        key=None,
        due_at=at if queued else None,
        fence=0,
        owner=None,
        lease_until=None,
    )
    body = {
        **created,
        "parameters": source.shown_parameters,
        "notebook": source.notebook,
        "output": output,
        "forked_from": source.id,
        "from_step": step,
        "again": sorted(again),
        "via": "rerun",
        "started_by": config.user,
    }
    drafts = [Draft(kind=Kind.EXECUTION_CREATED, body=body, actor=config.user)]
    drafts += [_copied(e) for e in entries if e.kind in _TAKEN and e.step is not None and e.step not in again]
    return store.create(copy, drafts)


def _require_reached(store: Store, source: Execution, manifest: Manifest, step: str) -> None:
    """A step that was never begun, with steps before it that are not complete, cannot be where a fork starts."""
    states = {s.id: s for s in history(store, source).steps}
    own = states.get(step)
    if own is not None and (own.started_at is not None or own.state in ("succeeded", "failed", "skipped", "running", "suspended")):
        return
    missing = [a for a in manifest.ancestors(step) if a not in states or states[a].state not in ("succeeded", "skipped")]
    if missing:
        raise OperatorError(
            "HF253",
            f"the execution never came to step {step!r}: {', '.join(missing)} did not complete",
            cure=f"Run again from {missing[0]!r}, or continue it: holdfast resume {source.id}",
            execution=source.id,
            step=step,
        )


def _from_on(manifest: Manifest, step: str) -> set[str]:
    return {step} | {s.name for s in manifest.steps if step in manifest.ancestors(s.name) or s.teardown_of == step}


def _copied(entry: Entry) -> Draft:
    body: Any = entry.body
    if entry.kind == Kind.STEP_RESET:  # calls made since then are known by its seq, which is another one in the copy
        body = {"epoch": entry.seq, **entry.data}
    return Draft(kind=entry.kind, step=entry.step, key=entry.key, body=body, actor=entry.actor)

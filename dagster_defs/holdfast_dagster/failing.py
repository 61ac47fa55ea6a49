"""Failures as Dagster's pages show them: what happened, where, and what to do. No stack trace of ours or of Dagster's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo

from holdfast.client import Client
from holdfast.engine.telling import Stood
from holdfast.errors import HoldfastError
from holdfast.model.entry import Kind

#: Lines of an exception's own text that are shown; the output notebook has the rest.
_LINES = 20
_GO_ON = "Then press Re-execute from failure, or: holdfast resume {execution}. What is recorded is not done again."
_MEND = "Mend what made the cell fail; the whole traceback is in `error` beside this, and in the notebook."


class StepFailed(dg.Failure, DagsterUserCodeProcessError):
    """The failure of a step, whose text is all that Dagster shows of it. No Dagster retry applies to it.

    Args:
        text: see :func:`told`.
        kind: class of the exception, for Dagster's filters.
        metadata: of the step.
    """

    def __init__(self, text: str, kind: str, metadata: Mapping[str, Any] | None = None) -> None:
        Exception.__init__(self, text)  # the two parents' own do not go together
        vars(self).update(vars(dg.Failure(description=text, metadata=metadata, allow_retries=False)))
        self.user_code_process_error_infos = [SerializableErrorInfo(f"{text}\n", [], kind)]


def refusal(error: Exception) -> Exception:
    """``error`` so that Dagster's pages show its text alone: no stack trace of ours or theirs."""
    told = SerializableErrorInfo(f"{error}\n", [], type(error).__name__)
    return DagsterUserCodeProcessError(str(error), user_code_process_error_infos=[told])  # type: ignore[no-untyped-call]


def step_failed(client: Client, execution: str, stood: Stood, metadata: Mapping[str, Any]) -> StepFailed:
    """What to raise for a step that failed, or that did not come to run."""
    if stood.failure is None:
        what = "did not come to its end" if stood.state == "stopped" else "did not run"
        return StepFailed(f"Step {stood.step} {what}: {stood.reason}", "NotRun", metadata)
    failure = stood.failure
    entries = client.store.read(execution, step=failure.step, kinds=(Kind.STEP_FAILED,))
    body = entries[-1].data if entries else {}
    cure = str((body.get("error") or {}).get("cure") or _MEND)
    name = f"{failure.type} {failure.code}" if failure.code and failure.code != failure.type else failure.type
    lines = failure.what.strip().splitlines()
    what = "\n".join([*lines[:_LINES], *(["..."] if len(lines) > _LINES else [])])
    text = f"{name}: {what}" if what else name
    where = f"step {failure.step}{_cell(client, execution, failure.step, body.get('cell'))}"
    attempt = f", attempt {stood.attempts}" if stood.attempts > 1 else ""
    return StepFailed(f"{text}\nWhere: {where}{attempt}\nWhat to do: {cure} {_GO_ON.format(execution=execution)}", failure.type, metadata)


def installation(error: HoldfastError) -> StepFailed:
    """What to raise when not the runbook but the installation stands in the way."""
    return StepFailed(str(error), type(error).__name__)


def _cell(client: Client, execution: str, step: str, key: Any) -> str:
    """The cell as `holdfast check` and the errors name it: its place in the notebook, its id."""
    header = client.get(execution)
    manifest = client.history(execution).manifest
    known = manifest.step(step) if manifest is not None else None
    cell = next((c for c in known.cells if c.id == key), None) if known is not None else None
    book = f" of {Path(header.path).name}" if header.path else ""
    return book if cell is None else f", cell {cell.index} ({cell.id}){book}"


__all__ = ["StepFailed", "installation", "refusal", "step_failed"]

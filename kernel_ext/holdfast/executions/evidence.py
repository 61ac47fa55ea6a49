"""The evidence of an execution: what it was told to do, what it did, when, on whose word; from the journal alone."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.errors import HoldfastError
from holdfast.executions.history import History, history
from holdfast.executions.injection import with_parameters
from holdfast.executions.live import live
from holdfast.executions.start import pinned_notebook
from holdfast.executions.timeline import Moment, timeline
from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.model.entry import Entry, Kind
from holdfast.model.execution import Execution
from holdfast.model.prompt import Prompt


class Evidence(msgspec.Struct, kw_only=True):
    """All of it. ``notebook`` is an nbformat document with the outputs that the journal has."""

    execution: Execution
    history: History
    moments: list[Moment]
    prompts: list[Prompt]
    notebook: dict[str, Any]
    exported_at: float


def evidence(store: Store, execution: Execution, prompts: list[Prompt]) -> Evidence:
    """Gather it.

    Args:
        prompts: of the execution, open and ended.

    Raises:
        StoreError: the journal cannot be reached.
        LookupFailedError: HF604, a blob that it needs is lost.
    """
    found = history(store, execution)
    return Evidence(
        execution=execution,
        history=found,
        moments=timeline(found.entries),
        prompts=prompts,
        notebook=_notebook(store, execution, found.entries),
        exported_at=clock.now(),
    )


def _notebook(store: Store, execution: Execution, entries: list[Entry]) -> dict[str, Any]:
    """The pinned notebook with its recorded outputs; for a shell, what was typed."""
    ran = _runs(store, execution.id, entries)
    try:
        document = with_parameters(pinned_notebook(store, execution), execution.shown_parameters).content
    except HoldfastError:
        document = _typed(ran)
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            run = ran.get(cell["id"], {})
            cell["outputs"], cell["execution_count"] = run.get("outputs", []), run.get("count")
            state = run.get("state")
            if state:
                cell.setdefault("metadata", {}).setdefault("holdfast", {}).setdefault("record", {})["state"] = state
    record = {"execution": execution.id, "status": str(execution.status), "started_by": execution.started_by}
    document["metadata"].setdefault("holdfast", {})["record"] = record
    return document


def _typed(ran: dict[str, dict[str, Any]]) -> dict[str, Any]:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": key[:64], "metadata": {}, "source": run.get("source") or "", "outputs": [], "execution_count": None}
        for key, run in ran.items()
    ]
    spec = {"name": "holdfast", "display_name": "Holdfast", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": cells}


def _runs(store: Store, execution: str, entries: list[Entry]) -> dict[str, dict[str, Any]]:
    """Cell id -> its last run: source, outputs, count, state."""
    runs: dict[str, dict[str, Any]] = {}
    ends = [e for e in entries if e.kind in (Kind.CELL_COMPLETED, Kind.STEP_FAILED)]
    for entry in ends:
        body = entry.data
        key = (entry.key if entry.kind == Kind.CELL_COMPLETED else body.get("cell") or entry.key) or ""
        outputs = outputs_of(store, body.get("outputs"))
        error = body.get("error")
        if entry.kind == Kind.STEP_FAILED and error and not any(o["output_type"] == "error" for o in outputs):
            shown = f"{error.get('type')}: {error.get('what')}"
            outputs.append(
                {
                    "output_type": "error",
                    "ename": str(error.get("type")),
                    "evalue": str(error.get("what")),
                    "traceback": list(error.get("traceback") or [shown]),
                }
            )
        runs[key] = {
            "source": body.get("source"),
            "outputs": outputs,
            "count": body.get("execution_count"),
            "state": "completed" if entry.kind == Kind.CELL_COMPLETED else "failed",
        }
    for one in live(store, execution, ends):
        runs[one.cell] = {"source": None, "outputs": outputs_of(store, one.outputs), "count": None, "state": "running"}
    return runs


def outputs_of(store: Store, recorded: Any) -> list[dict[str, Any]]:
    """Recorded outputs as nbformat has them.

    Raises:
        LookupFailedError: HF604. StoreError: HF510.
    """
    if isinstance(recorded, dict):
        recorded = msgspec.msgpack.decode(store.blobs.get(recorded["blob"]))
    outputs: list[dict[str, Any]] = []
    for one in recorded or ():
        content = one.get("content") or {}
        if one.get("type") == "stream":
            outputs.append({"output_type": "stream", "name": content["name"], "text": content["text"]})
        elif one.get("type") in ("display_data", "execute_result"):
            output = {"output_type": one["type"], "data": content.get("data") or {}, "metadata": content.get("metadata") or {}}
            if one["type"] == "execute_result":
                output["execution_count"] = content.get("execution_count")
            outputs.append(output)
        elif one.get("type") == "error":
            outputs.append({"output_type": "error", **{k: content.get(k) for k in ("ename", "evalue", "traceback")}})
    return outputs

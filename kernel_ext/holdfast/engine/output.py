"""The output notebook: the runbook as it was executed, on disk after every cell, whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from holdfast.engine.notebook_text import text_of
from holdfast.executions.injection import TAG
from holdfast.executions.places import put_in_place, unwritable
from holdfast.foundation import clock, faults


class Output:
    """Writes one notebook to one place.

    Args:
        notebook: what is written; it fills while it is held.
        place: a path, or whatever papermill can write to (``s3://``, ``gs://``, ``abs://`` ...); None: nowhere.
        lock: held by whoever changes the notebook.
        shown: what is written in place of the source of the injected cell, where that holds secrets.
    """

    def __init__(self, notebook: NotebookNode, place: str | None, lock: threading.RLock, shown: str | None = None) -> None:
        self.notebook, self.place, self._lock, self._shown = notebook, place, lock, shown
        self._writing = threading.Lock()

    def write(self) -> None:
        """Write it: to a file beside the last one, synced, then put in its place.

        Raises:
            OperatorError: HF252, the place cannot be written.
        """
        if self.place is None:
            return
        with self._writing:
            with self._lock:
                text = text_of(self._for_people())
            if "://" in self.place:
                write_elsewhere(text, self.place)
            else:
                put_in_place(Path(self.place), text if text.endswith("\n") else text + "\n")

    def _for_people(self) -> NotebookNode:
        if self._shown is None:
            return self.notebook
        cells = [NotebookNode({**c, "source": self._shown}) if c.get("id") == TAG else c for c in self.notebook.cells]  # type: ignore[no-untyped-call]
        return NotebookNode({**self.notebook, "cells": cells})  # type: ignore[no-untyped-call]


def write_elsewhere(text: str, place: str) -> None:
    """Write through papermill's handlers.

    Raises:
        OperatorError: HF252.
    """
    from papermill.iorw import papermill_io

    faults.point("output.during_write")
    try:
        papermill_io.write(text, place)
    except Exception as error:  # each handler raises its library's own
        raise unwritable(place, f"{type(error).__name__}: {error}") from error


class Stamps:
    """What stands in the output notebook about its execution: papermill's keys, so that its tools read them, and ``holdfast.record``.

    Args:
        notebook: the output notebook.
        lock: held by whoever changes it.
    """

    def __init__(self, notebook: NotebookNode, lock: threading.RLock) -> None:
        self.notebook, self._lock = notebook, lock

    def begin(self, execution: str, parameters: dict[str, Any], source: str | None, place: str | None) -> None:
        """Say which execution this is; every cell is pending."""
        with self._lock:
            _within(self.notebook.metadata, "papermill").update(
                parameters=parameters,
                input_path=source,
                output_path=place,
                start_time=_iso(),
                end_time=None,
                duration=None,
                exception=None,
                environment_variables={},
                version=_papermill_version(),
            )
            for cell in self.notebook.cells:
                cell.metadata["papermill"] = dict.fromkeys(("exception", "start_time", "end_time", "duration")) | {"status": "pending"}
                if cell.cell_type == "code":
                    cell.execution_count, cell.outputs = None, []
            self.record(execution=execution, status="running")

    def record(self, **facts: Any) -> None:
        """Put facts into the notebook's ``holdfast.record``; None takes one away."""
        with self._lock:
            record = _within(_within(self.notebook.metadata, "holdfast"), "record")
            for name, fact in facts.items():
                record.pop(name, None)
                if fact is not None:
                    record[name] = fact

    def cell_started(self, index: int) -> None:
        """The cell was sent."""
        with self._lock:
            _within(self.notebook.cells[index].metadata, "papermill").update(
                start_time=_iso(), end_time=None, duration=None, status="running", exception=False
            )

    def cell_ended(self, index: int, state: str) -> None:
        """The kernel answered."""
        with self._lock:
            cell = self.notebook.cells[index]
            stamp = _within(cell.metadata, "papermill")
            failed = state == "failed"
            status = "failed" if failed else "pending" if state in ("suspended", "cancelled", "fenced") else "completed"
            stamp.update(end_time=_iso(), status=status, exception=failed)
            if stamp.get("start_time"):
                stamp["duration"] = round(_seconds(stamp["end_time"]) - _seconds(stamp["start_time"]), 6)
            if cell.cell_type == "code" and state != "passed":
                _within(_within(cell.metadata, "holdfast"), "record")["state"] = state

    def end(self, status: str, reason: str) -> None:
        """The engine lets go."""
        with self._lock:
            stamp = self.notebook.metadata["papermill"]
            stamp.update(end_time=_iso(), exception=True if status == "failed" else None)
            stamp["duration"] = round(_seconds(stamp["end_time"]) - _seconds(stamp["start_time"]), 6)
            self.record(status=status, reason=reason or None, ended_at=stamp["end_time"])


def _within(node: Any, key: str) -> Any:
    """The node under ``key``, made when it is not there (``setdefault`` would leave a plain dict)."""
    if key not in node:
        node[key] = {}
    return node[key]


def _iso() -> str:
    return clock.utc(clock.now()).isoformat()


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def _papermill_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("papermill")
    except PackageNotFoundError:
        return ""

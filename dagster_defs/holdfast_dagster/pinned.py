"""A run that goes on does so with the notebook that its execution was started with, whatever has become of the file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.code_pointer import CustomPointer, ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.origin import JobPythonOrigin

from holdfast.client import Client
from holdfast.errors import HoldfastError, LookupFailedError
from holdfast.model.execution import Execution
from holdfast_dagster import internals, names
from holdfast_dagster.choosing import executions_of
from holdfast_dagster.definitions import build_pinned
from holdfast_dagster.runbook import load


def with_pinned_code(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """The run, which from now on takes its definitions from the pinned notebook when the file is not what it was.

    Raises:
        StoreError: the journal cannot be reached.
    """
    origin = pinned_origin(instance, run)
    return run if origin is None else internals.replace_code(instance, run.run_id, origin) or run


def pinned_origin(instance: dg.DagsterInstance, run: dg.DagsterRun) -> JobPythonOrigin | None:
    """Where the definitions of a run come from whose runbook was changed, moved or deleted since its execution began; None: from where
    they always come.

    Raises:
        StoreError: the journal cannot be reached.
    """
    if run.tags.get(names.RUNBOOK) != run.job_name:
        return None  # not a runbook's own job
    continued = run.tags.get(names.CONTINUES)
    if names.EXECUTION not in run.tags and continued is None:
        return None
    with Client.open() as client:
        try:
            found = executions_of(client, run) or ([client.get(continued)] if continued is not None else [])
        except LookupFailedError:
            return None
        if len(found) != 1 or found[0].notebook is None or found[0].path is None:
            return None
        text = _kept(instance, client, found[0])
    path = Path(found[0].path)
    if _same(text, path):
        return None
    pointer = CustomPointer(ModuleCodePointer(__name__, pinned_repository.__name__, None), [str(text), str(path), run.job_name], [])
    return ReconstructableRepository(pointer, executable_path=sys.executable).get_reconstructable_job(run.job_name).get_python_origin()


def pinned_repository(text: str, path: str, name: str) -> Any:
    """The definitions of one pinned notebook, for the worker of a run."""
    return build_pinned(Path(text), Path(path), name).get_repository_def()


def _kept(instance: dg.DagsterInstance, client: Client, execution: Execution) -> Path:
    """The pinned notebook as a file."""
    assert execution.notebook is not None
    place = Path(instance.root_directory) / "holdfast" / "pinned" / execution.notebook.hex()[:32] / f"{execution.runbook}.ipynb"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_suffix(f".{execution.id}")
        draft.write_bytes(bytes(client.store.blobs.get(execution.notebook)))
        draft.replace(place)
    return place


def _same(text: Path, path: Path) -> bool:
    """Whether the file still has the steps it had."""
    try:
        return load(text).manifest.digest == load(path).manifest.digest
    except HoldfastError:
        return False

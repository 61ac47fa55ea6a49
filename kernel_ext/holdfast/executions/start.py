"""The beginning of an execution: everything is checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.executions.injection import without_earlier
from holdfast.executions.places import require_writable
from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Mode, new_id
from holdfast.model.manifest import Manifest
from holdfast.notebook.commands import load, tables_of
from holdfast.notebook.compile import compile as compile_notebook
from holdfast.notebook.parameters import parameters_digest, validate
from holdfast.notebook.reader import Notebook, read

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A start that was checked and not yet written."""

    notebook: Notebook
    manifest: Manifest
    parameters: dict[str, Any]
    output: str | None
    folder: str


def prepare(
    source: Path | Notebook,
    *,
    parameters: Mapping[str, Any] | None = None,
    text: Mapping[str, str] | None = None,
    output: str | None = None,
    folder: str | None = None,
) -> Prepared:
    """Check a start without writing anything.

    Args:
        source: the notebook, or the file that holds it.
        parameters: values with types.
        text: values as typed on a command line; they win.
        output: where the output notebook goes; None: the default place.
        folder: working directory of the kernels; by default the notebook's folder.

    Raises:
        LookupFailedError: HF605, no such notebook.
        AuthorError: HF101 to HF104: it cannot be read, does not compile, the parameters do not fit, or a table of its own commands
            cannot be used.
        OperatorError: HF252, the output cannot be written.
    """
    notebook = source if isinstance(source, Notebook) else read(source)
    manifest = compile_notebook(notebook)
    about = notebook.metadata.get("holdfast")
    for table in tables_of(about, notebook.path) if isinstance(about, dict) else ():
        load(table)
    values = validate(manifest, parameters, text=text)
    if values and manifest.injected_cell is not None:
        notebook = without_earlier(notebook)
        manifest = compile_notebook(notebook)
    if output is not None:
        require_writable(output)
    place = folder or (str(Path(notebook.path).parent) if notebook.path else str(Path.cwd()))
    return Prepared(notebook=notebook, manifest=manifest, parameters=values, output=output, folder=place)


def start(
    store: Store,
    config: Config,
    prepared: Prepared,
    *,
    id: str | None = None,
    key: str | None = None,
    mode: Mode = Mode.BATCH,
    parent: str | None = None,
    via: str = "cli",
    queued: bool = False,
    started_by: str = "",
    alone: bool = False,
) -> tuple[Execution, bool]:
    """Write the header and the first entry of an execution, with its notebook pinned.

    Args:
        id: of the new execution; one that is there already is returned when notebook and parameters are the same.
        key: idempotency key: whoever comes second with it gets the execution of the first.
        parent: the execution that starts this one.
        via: what asked for it (``cli``, ``papermill``, ``dagster`` ...), for the record.
        queued: any worker may take it. Otherwise whoever starts it works on it.
        started_by, alone: the person, by default who acts; whether it does not follow its parent.

    Returns:
        the execution, and whether it is new.

    Raises:
        OperatorError: HF254, the id cannot be used, or belongs to another notebook or other parameters.
        StoreError: the journal cannot be written; nothing was.
    """
    if id is not None:
        check_id(id)
        if (there := store.header(id)) is not None:
            return same_start(store, there, prepared), False
    at = clock.now()
    identity = id or new_id(at)
    execution = Execution(
        id=identity,
        runbook=prepared.notebook.name,
        path=prepared.notebook.path,
        notebook=bytes(store.blobs.put(prepared.notebook.text().encode())),
        parameters=prepared.parameters,
        secrets=tuple(p.name for p in prepared.manifest.parameters if p.secret),
        mode=mode,
        created_at=at,
        updated_at=at,
        started_by=started_by or config.user,
        parent=parent,
        key=key,
        due_at=at if queued else None,
    )
    try:
        written = store.create(execution, [_creation(execution, prepared, via, config, alone)])
    except OperatorError as error:
        there = store.header(identity) if error.code == "HF224" else None
        if there is None:
            raise
        return same_start(store, there, prepared), False
    return written, written.id == identity


def _creation(execution: Execution, prepared: Prepared, via: str, config: Config, alone: bool) -> Draft:
    body = {
        "runbook": execution.runbook,
        "path": execution.path,
        "notebook": execution.notebook,
        "digest": prepared.manifest.digest,
        "parameters": execution.shown_parameters,
        "output": prepared.output,
        "folder": prepared.folder,
        "via": via,
        "started_by": execution.started_by,
        **({"alone": True} if alone else {}),
        **({"unattended": True} if config.unattended else {}),
    }
    return Draft(kind=Kind.EXECUTION_CREATED, body=body, actor=config.user)


def check_id(id: str) -> None:
    """Refuse an id that would not do as a file name or on a command line.

    Raises:
        OperatorError: HF254.
    """
    if not _ID.fullmatch(id):
        raise OperatorError(
            "HF254",
            f"{id!r} cannot be an execution's id",
            cure="Use up to 100 letters, digits, dots, dashes and underscores, beginning with a letter or a digit.",
        )


def same_start(store: Store, there: Execution, prepared: Prepared) -> Execution:
    """``there`` when it was started with this notebook and these parameters.

    Raises:
        OperatorError: HF254.
    """
    pinned = compile_notebook(pinned_notebook(store, there))
    differs = []
    if pinned.digest != prepared.manifest.digest:
        differs.append("another notebook text")
    if parameters_digest(there.parameters) != parameters_digest(prepared.parameters):
        differs.append("other parameters")
    if differs:
        raise OperatorError(
            "HF254",
            f"there is an execution {there.id!r} already, started with {' and '.join(differs)}",
            cure=f"Choose another id, or continue that one: holdfast resume {there.id}",
            execution=there.id,
        )
    return there


def pinned_notebook(store: Store, execution: Execution) -> Notebook:
    """The notebook that the execution was started with (or whose changes were accepted since).

    Raises:
        OperatorError: HF253, the execution has none (a shell's).
        LookupFailedError: HF604, the journal lost it.
    """
    if execution.notebook is None:
        raise OperatorError(
            "HF253",
            "this execution has no notebook: its cells were typed one by one",
            cure=f"Continue it where it was begun: holdfast shell --resume {execution.id}",
            execution=execution.id,
        )
    notebook = read(bytes(store.blobs.get(execution.notebook)), name=execution.runbook)
    return msgspec.structs.replace(notebook, path=execution.path)


def default_output(config: Config, execution: str) -> str:
    """Where the output notebook of an execution goes when nobody said."""
    return str(config.state_dir / "outputs" / f"{execution}.ipynb")

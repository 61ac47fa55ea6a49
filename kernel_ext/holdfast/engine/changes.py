"""Taking the notebook file's text as it is now (``resume --accept-changes``): recorded, and with what it touches run again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.executions.start import pinned_notebook
from holdfast.journal.writer import Writer
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution
from holdfast.model.manifest import Manifest, Step
from holdfast.notebook.compile import compile as compile_notebook
from holdfast.notebook.parameters import validate
from holdfast.notebook.reader import read


def accept_changes(writer: Writer, config: Config, header: Execution) -> Execution:
    """Pin the present text of the execution's notebook file.

    Steps whose code changed, and steps that read what those write, run again; the calls they recorded still answer, so that nothing
    is done twice. The others keep their records.

    Raises:
        OperatorError: HF253, the execution has no notebook file.
        LookupFailedError: HF605, the file is gone.
        AuthorError: the new text cannot be read or compiled, or does not take the execution's parameters.
    """
    if header.path is None:
        raise OperatorError(
            "HF253", "the execution has no notebook file to take changes from", cure="Resume it without.", execution=header.id
        )
    notebook = read(Path(header.path), name=header.runbook)
    new, old = compile_notebook(notebook), compile_notebook(pinned_notebook(writer.store, header))
    validate(new, header.parameters)
    edited, again = compare(old, new)
    address = bytes(writer.store.blobs.put(notebook.text().encode()))
    drafts = [
        Draft(kind=Kind.STEP_RESET, step=name, body={"keep_calls": True, "why": "changes accepted"}, actor=config.user) for name in again
    ]
    body = {"from": header.notebook, "to": address, "digest": new.digest, "edited": edited, "again": again, "by": config.user}
    drafts.append(Draft(kind=Kind.CHANGES_ACCEPTED, body=body, actor=config.user))
    writer.append_all(drafts, change=Change(notebook=address))
    return msgspec.structs.replace(header, notebook=address)


def compare(old: Manifest, new: Manifest) -> tuple[list[str], list[str]]:
    """What changed from ``old`` to ``new``.

    Returns:
        the steps that were edited or are new, and the steps that must run again: those that were there and were edited, and those that
        read, directly or through others, a name that an edited, new or removed step writes.
    """
    before = {s.name: s for s in old.steps}
    edited = [s.name for s in new.steps if s.name not in before or _code(s) != _code(before[s.name])]
    common_edit = _cells(old) != _cells(new)
    removed = [s for s in old.steps if new.step(s.name) is None]
    tainted: set[str] = {n for s in removed for n in s.writes}
    again: list[str] = []
    for step in new.steps:
        read = {*step.reads, *(before[step.name].reads if step.name in before else ())}
        touched = step.name in edited or common_edit or bool(tainted & read)
        if not touched:
            continue
        tainted |= set(step.writes)
        if step.name in before:
            tainted |= set(before[step.name].writes)
            again.append(step.name)
    return edited, again


def _code(step: Step) -> tuple[object, ...]:
    return tuple((c.id, c.digest) for c in step.cells), step.policy.when


def _cells(manifest: Manifest) -> tuple[str, ...]:
    """The code that every step may depend on: the parameters' defaults and the setup cells."""
    return tuple(c.digest for c in (manifest.parameters_cell, *manifest.setup) if c is not None)

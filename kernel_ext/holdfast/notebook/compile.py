"""Compile a notebook to its manifest: steps, order, policies, parameters."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from holdfast.errors import AuthorError
from holdfast.model.manifest import Cell, Manifest, Step
from holdfast.model.policy import Policy
from holdfast.notebook.finding import Finding
from holdfast.notebook.labels import first_label
from holdfast.notebook.limiting import fields
from holdfast.notebook.marks import Marks, read_marks
from holdfast.notebook.metadata import RunbookMetadata, near, runbook_metadata
from holdfast.notebook.order import resolve
from holdfast.notebook.parameters import declared, validate
from holdfast.notebook.reader import Notebook, NotebookCell
from holdfast.notebook.scheduling import partition_problems

#: The step that holds the code cells before the first tagged one.
START = "start"


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest with what is wrong with it. With a finding of severity ``error`` it must not be executed."""

    manifest: Manifest
    findings: tuple[Finding, ...] = ()


class _Draft:
    """A step while its cells are being gathered."""

    def __init__(self, name: str, cell: NotebookCell | None, marks: Marks, description: str = "") -> None:
        self.name, self.head, self.marks, self.description = name, cell, marks, description
        self.cells: list[NotebookCell] = [cell] if cell else []


def compile(notebook: Notebook) -> Manifest:
    """Compile ``notebook``.

    Raises:
        AuthorError: HF102, the runbook contradicts itself (bad metadata, unknown or duplicate step names, a cycle, ...). Its text names
            the first problem and how many there are; :func:`examine` gives all.
    """
    compiled = examine(notebook)
    errors = [f for f in compiled.findings if f.severity == "error"]
    if errors:
        first, more = errors[0], len(errors) - 1
        also = f" (and {more} more: holdfast check lists them)" if more else ""
        raise AuthorError(
            "HF102",
            f"the runbook does not compile: {first.message}{also}",
            cure=first.cure,
            runbook=notebook.path or notebook.name,
            cell=None if first.index is None else f"{first.index} ({first.cell})",
            line=first.line,
        )
    return compiled.manifest


def examine(notebook: Notebook) -> Compiled:
    """Compile as far as possible and say everything that is wrong (NB101 to NB119); never raises for what the notebook says."""
    findings: list[Finding] = []
    if notebook.language != "python":
        message = f"the notebook's language is {notebook.language}; a runbook is written in Python"
        findings.append(Finding(code="NB110", severity="error", message=message, cure="choose the Holdfast kernel for it"))
    top, problems = runbook_metadata(notebook.metadata.get("holdfast"))
    findings += [Finding(code="NB105", severity="error", message=f"notebook metadata.holdfast: {m}", cure=c) for m, c in problems]
    gathered = _Gathering(notebook)
    findings += gathered.findings
    steps = [_step(draft) for draft in gathered.drafts]
    steps, wrong = resolve(steps)
    findings += wrong
    parameters, wrong = declared(gathered.parameters[0], top.parameters) if gathered.parameters else ((), [])
    findings += wrong
    title, description = _card(notebook)
    raw = notebook.metadata.get("holdfast")
    manifest = Manifest(
        name=notebook.name,
        digest=_digest(notebook),
        title=top.title or title or notebook.name,
        description=top.description or description,
        kernel=_kernel(notebook),
        steps=tuple(steps),
        setup=tuple(_cell(c) for c in gathered.setup),
        parameters=parameters,
        parameters_cell=_cell(gathered.parameters[0]) if gathered.parameters else None,
        injected_cell=_cell(gathered.injected[0]) if gathered.injected else None,
        metadata=raw if isinstance(raw, dict) else {},
    )
    findings += _parameters_named(manifest, top)
    from holdfast.notebook.dataflow import annotate

    return Compiled(manifest=annotate(manifest), findings=tuple(findings))


class _Gathering:
    """Sorts the cells into parameters, setup and steps."""

    def __init__(self, notebook: Notebook) -> None:
        self.findings: list[Finding] = []
        self.drafts: list[_Draft] = []
        self.setup: list[NotebookCell] = []
        self.parameters: list[NotebookCell] = []
        self.injected: list[NotebookCell] = []
        marks: dict[str, Marks] = {}
        for cell in notebook.code_cells:
            marks[cell.id], wrong = read_marks(cell)
            self.findings += wrong
        self.tagged = any(m.step for m in marks.values())
        prose: list[str] = []
        for cell in notebook.cells:
            if cell.type == "markdown":
                prose.append(cell.source.strip())
            elif cell.type == "code":
                self._take(cell, marks[cell.id], "\n\n".join(p for p in prose if p))
                prose = []
        if len(self.parameters) > 1:
            self._report("NB109", self.parameters[1], "a second cell is tagged 'parameters'", "join it with the first")

    def _report(self, code: str, cell: NotebookCell, message: str, cure: str) -> None:
        self.findings.append(Finding(code=code, severity="error", message=message, cure=cure, cell=cell.id, index=cell.index))

    def _take(self, cell: NotebookCell, marks: Marks, prose: str) -> None:
        if marks.role is not None:
            place = {"parameters": self.parameters, "injected-parameters": self.injected, "setup": self.setup}[marks.role]
            if not (marks.role == "setup" and marks.skip):
                place.append(cell)
            self._no_policy(cell, marks, f"a cell tagged {marks.role!r}")
        elif marks.step is not None:
            self._open(_Draft(marks.step, cell, marks, prose), cell)
        elif not self.tagged:
            if cell.source.strip():
                self._open(_Draft(cell.id, cell, marks, prose), cell)
        else:
            self._no_policy(cell, marks, "a cell that starts no step")
            if marks.skip or not cell.source.strip():
                return
            if not self.drafts:
                self._open(_Draft(START, None, Marks(step=START), prose), cell)
            self.drafts[-1].cells.append(cell)

    def _open(self, draft: _Draft, cell: NotebookCell) -> None:
        first = next((d for d in self.drafts if d.name == draft.name), None)
        if first is not None:
            where = f"cell {first.cells[0].index}" if first.cells else "the cells before the first step"
            cure = "rename one of them" if first.head else "name the step otherwise: cells before the first step are the step 'start'"
            if first is self.drafts[-1] and first.head:
                cure = "remove the tag from the second cell: untagged cells belong to the step above (or rename it)"
            self._report("NB101", cell, f"the step {draft.name!r} is there twice, first at {where}", cure)
        self.drafts.append(draft)

    def _no_policy(self, cell: NotebookCell, marks: Marks, what: str) -> None:
        if marks.has_policy:
            cure = "move metadata.holdfast to the cell that starts the step, or tag this one step:NAME"
            self._report("NB108", cell, f"metadata.holdfast has no effect on {what}", cure)


def _step(draft: _Draft) -> Step:
    marks = draft.marks
    policy = marks.metadata.policy() if draft.head else Policy()
    return Step(
        name=draft.name,
        cells=tuple(_cell(c) for c in draft.cells),
        after=(),
        policy=policy,
        description=marks.metadata.description or draft.description,
        label=next((label for c in draft.cells if (label := first_label(c.source))), None),
        asset=marks.asset,
        check=marks.check,
        teardown_of=marks.teardown,
        always=marks.always,
        skip=marks.skip,
    )


def _parameters_named(manifest: Manifest, top: RunbookMetadata) -> list[Finding]:
    """Parameters that schedules and partitions give and guardrails name, against those that are declared."""
    problems: list[tuple[str, str]] = []
    sliced = {top.partitions.parameter} if top.partitions else set()
    if top.partitions is not None:
        problems += partition_problems(top.partitions, {p.name for p in manifest.parameters})
        given = msgspec.structs.replace(manifest, parameters=tuple(p for p in manifest.parameters if p.name in sliced))
        for value in top.partitions.values if given.parameters else ():
            try:
                validate(given, {top.partitions.parameter: value})
            except AuthorError as error:
                problems.append((f"'partitions': the value {value!r} cannot be given: {error.what}", "correct 'values', or the parameter"))
    known = {p.name for p in manifest.parameters}
    problems += [
        (f"'{where}' names {n!r}, which is no parameter", near(n, known))
        for where, n in fields(top.limits, top.concurrency)
        if n.isidentifier() and n not in known
    ]
    open_ones = msgspec.structs.replace(manifest, parameters=tuple(p for p in manifest.parameters if p.name not in sliced))
    for schedule in top.schedules:
        try:
            validate(open_ones, {n: v for n, v in schedule.parameters.items() if n not in sliced})
        except AuthorError as error:
            label = f"'schedule' {schedule.name!r}" if schedule.name else "'schedule'"
            problems.append((f"{label}: {error.what}", "correct its 'parameters'"))
        problems += [
            (f"'schedule': it gives {n!r}, which is what the partitions give", "leave it out of its 'parameters'")
            for n in sliced & schedule.parameters.keys()
        ]
    return [Finding(code="NB105", severity="error", message=f"notebook metadata.holdfast: {m}", cure=c) for m, c in dict(problems).items()]


def _cell(cell: NotebookCell) -> Cell:
    return Cell(id=cell.id, index=cell.index, source=cell.source, digest=cell.digest, tags=cell.tags, metadata=cell.metadata)


def _kernel(notebook: Notebook) -> str:
    spec = notebook.metadata.get("kernelspec")
    name = spec.get("name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) and name else "holdfast"


def _card(notebook: Notebook) -> tuple[str, str]:
    """Title (the first heading) and description (the rest of that cell) of the notebook."""
    for cell in notebook.cells:
        if cell.type == "code":
            break
        lines = cell.source.strip().split("\n")
        for number, line in enumerate(lines):
            if line.startswith("# "):
                return line[2:].strip(), "\n".join(lines[number + 1 :]).strip()
    return "", ""


def _digest(notebook: Notebook) -> str:
    """Of all that decides what an execution does: code, ids, tags and Holdfast's metadata; prose and outputs do not count."""
    parts: list[Any] = [notebook.metadata.get("holdfast")]
    parts += [[c.id, c.digest, sorted(c.tags), c.metadata.get("holdfast")] for c in notebook.code_cells]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

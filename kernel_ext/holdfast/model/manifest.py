"""Manifest: what a runbook compiles to: steps, order, policies, parameters."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.model.policy import Policy


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A code cell of a runbook."""

    id: str  # the nbformat id; made from position and source where the file has none
    index: int  # position in the notebook, markdown cells counted
    source: str
    digest: str  # of the source, see notebook.reader
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A tagged cell with the untagged cells that follow it."""

    name: str
    cells: tuple[Cell, ...]
    after: tuple[str, ...]  # resolved: the steps it waits for
    policy: Policy = Policy()
    description: str = ""  # from the markdown above
    label: str | None = None  # first `# @label:` of the step
    asset: str | None = None
    check: str | None = None
    teardown_of: str | None = None
    always: bool = False
    skip: bool = False
    reads: tuple[str, ...] = ()  # names it takes from steps before (static dataflow)
    writes: tuple[str, ...] = ()  # names it binds or changes in place


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One name of the ``parameters`` cell."""

    name: str
    type: str  # "int", "float", "str", "bool", "list", "dict", "any" ...: the annotation, else the default's type
    default: Any = None
    required: bool = False  # declared without a value, or with the value `...`
    description: str = ""  # the comment on its line
    schema: dict[str, Any] = {}  # JSON Schema, for forms and validation
    secret: bool = False  # shown to nobody: its name, its annotation or the word `secret` in its comment says so


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled runbook."""

    name: str
    digest: str  # of the whole notebook's code and tags
    title: str = ""
    description: str = ""
    kernel: str = "holdfast"
    steps: tuple[Step, ...] = ()  # in notebook order
    setup: tuple[Cell, ...] = ()  # cells tagged `setup`: run in every new kernel
    parameters: tuple[Parameter, ...] = ()
    parameters_cell: Cell | None = None
    injected_cell: Cell | None = None  # papermill's `injected-parameters` cell, when the file holds one
    metadata: dict[str, Any] = {}  # notebook.metadata.holdfast

    def step(self, name: str) -> Step | None:
        """The step of that name."""
        return next((s for s in self.steps if s.name == name), None)

    def ancestors(self, name: str) -> tuple[str, ...]:
        """All steps that must be complete before ``name``, in notebook order."""
        wanted: set[str] = set()
        todo = [name]
        while todo:
            step = self.step(todo.pop())
            for above in step.after if step else ():
                if above not in wanted:
                    wanted.add(above)
                    todo.append(above)
        return tuple(s.name for s in self.steps if s.name in wanted)

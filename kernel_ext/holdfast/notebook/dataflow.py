"""Static dataflow between steps: what each reads and writes, what an edit makes stale, what parallel branches both write."""

from __future__ import annotations

import builtins
from collections.abc import Iterable

import msgspec

from holdfast.model.manifest import Cell, Manifest
from holdfast.notebook.magics import expression_names
from holdfast.notebook.names import Names, names_of
from holdfast.notebook.walker import Event

_BUILTINS = frozenset(dir(builtins)) | {"get_ipython", "display", "In", "Out", "exit", "quit", "_", "__", "___", "_exit_code"}


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What a step does with names that outlive it."""

    reads: frozenset[str]
    writes: frozenset[str]  # bound, deleted or changed in place
    rebinds: frozenset[str]  # bound or deleted


def annotate(manifest: Manifest) -> Manifest:
    """The manifest with ``reads`` and ``writes`` of every step, each sorted.

    Function bodies count where the function is named, not where it is defined. What a called library changes behind the scenes is not
    seen; a method call whose result is thrown away counts as a change in place, unless the method is known for changing nothing.
    """
    functions = _functions(c for c in _all_cells(manifest))
    ours = {e.name for c in _all_cells(manifest) for e in names_of(c.source).events if e.kind == "bind"}
    ours |= {p.name for p in manifest.parameters}
    fixed = {name for c in manifest.setup for name in names_of(c.source).of("bind")}
    steps = []
    for step in manifest.steps:
        flow = flow_of(step.cells, functions)
        condition = expression_names(step.policy.when) if step.policy.when else None
        reads = {n for n in (*flow.reads, *(condition or ())) if n in ours}
        steps.append(msgspec.structs.replace(step, reads=tuple(sorted(reads)), writes=tuple(sorted(flow.writes - fixed))))
    return msgspec.structs.replace(manifest, steps=tuple(steps))


def flow_of(cells: Iterable[Cell], functions: dict[str, tuple[Event, ...]]) -> Flow:
    """The dataflow of cells that run one after the other.

    Args:
        cells: the cells of a step.
        functions: what each function of the notebook does to global names when it runs.
    """
    reads: set[str] = set()
    writes: set[str] = set()
    rebinds: set[str] = set()
    bound: set[str] = set()
    for cell in cells:
        names = names_of(cell.source)
        for event in _with_bodies(names, functions):
            if event.kind == "read":
                if event.name not in bound and not event.bound and event.name not in _BUILTINS:
                    reads.add(event.name)
            elif event.kind == "mutate":
                writes.add(event.name)
                if event.name not in bound and not event.bound:
                    reads.add(event.name)
            else:
                writes.add(event.name)
                rebinds.add(event.name)
        bound |= names.certain
    return Flow(reads=frozenset(reads), writes=frozenset(writes), rebinds=frozenset(rebinds))


def stale_after(manifest: Manifest, changed_step: str) -> tuple[str, ...]:
    """The steps to run again after an edit of ``changed_step``: those behind it that read what it wrote, and so on from those.

    Returns:
        names in notebook order, without ``changed_step`` itself. A step that only overwrites a name is not among them.
    """
    behind = _behind(manifest)
    stale: set[str] = set()
    todo = [changed_step]
    while todo:
        source = manifest.step(todo.pop())
        if source is None:
            continue
        for step in manifest.steps:
            if step.name in stale or step.name == changed_step or source.name not in behind.get(step.name, frozenset()):
                continue
            if set(step.reads) & set(source.writes):
                stale.add(step.name)
                todo.append(step.name)
    return tuple(s.name for s in manifest.steps if s.name in stale)


def readers_of(manifest: Manifest, source: str) -> frozenset[str]:
    """The steps that read what a cell outside all steps (setup, parameters) sets when its text is ``source``, and those that read from
    them."""
    cell = Cell(id="", index=0, source=source, digest="")
    written = flow_of([cell], _functions([*_all_cells(manifest), cell])).writes
    found = {s.name for s in manifest.steps if not written.isdisjoint(s.reads)}
    return frozenset(found.union(*(stale_after(manifest, name) for name in found)))


def races(manifest: Manifest) -> list[tuple[str, str, tuple[str, ...]]]:
    """Pairs of steps that may run at the same time and write the same names: (step, later step, names)."""
    functions = _functions(_all_cells(manifest))
    flows = {s.name: flow_of(s.cells, functions) for s in manifest.steps}
    behind = _behind(manifest)
    steps = [s for s in manifest.steps if s.teardown_of is None]
    found = []
    for at, first in enumerate(steps):
        for second in steps[at + 1 :]:
            if first.name in behind[second.name] or second.name in behind[first.name]:
                continue
            both = flows[first.name].writes & flows[second.name].writes
            if both:
                found.append((first.name, second.name, tuple(sorted(both))))
    return found


def _behind(manifest: Manifest) -> dict[str, frozenset[str]]:
    return {s.name: frozenset(manifest.ancestors(s.name)) for s in manifest.steps}


def _all_cells(manifest: Manifest) -> list[Cell]:
    extra = [c for c in (manifest.parameters_cell, manifest.injected_cell) if c is not None]
    return [*extra, *manifest.setup, *(c for s in manifest.steps for c in s.cells)]


def _functions(cells: Iterable[Cell]) -> dict[str, tuple[Event, ...]]:
    found: dict[str, tuple[Event, ...]] = {}
    for cell in cells:
        found.update(names_of(cell.source).functions)
    return found


def _with_bodies(names: Names, functions: dict[str, tuple[Event, ...]]) -> Iterable[Event]:
    """The events of a cell in order, with those of every function it names (and of those that one names ...)."""
    seen: set[str] = set()
    named = set(names.functions)
    for event in names.events:
        if event.deferred:
            if not any(event in names.functions[f] for f in named):
                yield event  # a lambda: taken as run where it stands
            continue
        yield event
        todo = [event.name] if event.kind == "read" else []
        while todo:
            name = todo.pop()
            if name in seen or name not in functions:
                continue
            seen.add(name)
            for inner in functions[name]:
                yield inner
                if inner.kind == "read":
                    todo.append(inner.name)

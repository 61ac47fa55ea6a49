"""The room's picture of the namespace: which component holds which unit, and how a unit is read and set."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Iterator, Set
from typing import Any

from holdfast.checkpoint import local_modules, patches, places, units
from holdfast.checkpoint.delta import Component
from holdfast.checkpoint.graph import Kinds
from holdfast.checkpoint.process import ProcessState
from holdfast.checkpoint.processes.runtime import filters_version
from holdfast.checkpoint.reducer import Reducer
from holdfast.checkpoint.space import Space
from holdfast.journal.store import BlobStore


class Node:
    """A component in this process: its record, and what is known of its live objects."""

    __slots__ = ("cost", "ids", "loaded", "nans", "record", "renewed", "spans", "specials", "stale", "units")

    def __init__(self, record: Component, *, loaded: bool) -> None:
        self.record = record
        self.units = set(record.units)  # those that no later version took over
        self.loaded = loaded
        self.ids: Set[int] | None = None  # mutable objects reached; None: not walked since it was loaded
        self.nans: frozenset[int] = frozenset()  # ids of NaN objects, whose identity matters
        self.spans: tuple[tuple[int, int], ...] = ()
        self.cost = 0.0  # seconds that pickling took last time
        self.specials: dict[int, tuple[str, Any]] = {}  # dicts in it that are referred to and never copied
        self.stale = False  # objects may have been replaced by equal ones since ``ids`` were taken
        self.renewed = False  # made by a cell that every kernel runs anew (setup, parameters): a recorded version goes before it


class State:
    """Everything the parts of the room share.

    Args:
        namespace: the plain dict in which cells run.
        blobs: where large parts go.
        reducers: by type name.
        process: the kinds of process state.
    """

    def __init__(self, namespace: dict[str, Any], blobs: BlobStore, reducers: dict[str, Reducer], process: ProcessState) -> None:
        self.namespace, self.blobs, self.reducers, self.process = namespace, blobs, reducers, process
        self.space = Space(namespace)
        self.kinds = Kinds(reducers)
        self.nodes: dict[str, Node] = {}
        self.baseline: dict[str, Any] = {}
        self.identity: dict[str, tuple[int, Any]] = {}
        self._modules_seen = 0
        self._mark: tuple[dict[str, Node], list[tuple[Node, set[str], Component]], dict[str, tuple[int, Any]], dict[str, Any]] | None = None
        self._local_modules: list[str] = []
        self.modules_before: frozenset[str] = frozenset()  # imported before any cell: no cell's doing

    # -- variables

    def variables(self) -> list[str]:
        """Names that are the author's: not IPython's, and not what was there before any cell unless it was rebound."""
        baseline = self.baseline
        found = (n for n, v in self.namespace.items() if isinstance(n, str) and not (n in baseline and baseline[n] is v))
        return [n for n in found if not units.is_reserved(n)]

    def note_identity(self, name: str) -> None:
        """Remember which object ``name`` is bound to; of mutable ones the address only, so that nothing is kept alive."""
        value = self.namespace[name]
        self.identity[name] = (id(value), value if type(value) in ATOMS else None)

    def is_rebound(self, name: str) -> bool:
        """Whether ``name`` is bound to another object than when last looked at."""
        known = self.identity.get(name)
        return known is None or known[0] != id(self.namespace[name])

    def is_gone(self, unit: str, variables: Container[str]) -> bool:
        """Whether a unit that was recorded has no value any more; ``variables`` are those there are."""
        kind = units.kind_of(unit)
        if kind == "variable":
            return unit not in variables
        if kind == "class":
            return self.space.known(units.argument_of(unit)) is None
        return kind == "module" and units.argument_of(unit) not in sys.modules

    def specials(self) -> dict[int, tuple[str, Any]]:
        """Objects that are referred to and never copied: id -> (key, object)."""
        found = self.space.specials()
        for unit in self.nodes:
            if unit.startswith("<contents "):
                address = units.argument_of(unit)
                container = patches.read(address)
                found[id(container)] = (f"global:{address}", container)
        return found

    # -- units

    def value(self, unit: str) -> Any:
        """The live value of a unit. Raises ``KeyError`` when there is none."""
        kind = units.kind_of(unit)
        if kind == "variable":
            return self.namespace[unit]
        argument = units.argument_of(unit)
        if kind == "class":
            found = self.space.known(argument)
            if found is None:
                raise KeyError(unit)
            return found
        if kind == "patch":
            return patches.read(argument)
        if kind == "contents":
            return patches.contents(argument)
        if kind == "module":
            return local_modules.module_state(sys.modules[argument])
        return self.process.value(argument)

    def assign(self, unit: str, value: Any) -> None:
        """Bring a loaded value to its place."""
        kind = units.kind_of(unit)
        if kind == "variable":
            self.namespace[unit] = value
            if unit == "__warningregistry__" and isinstance(value, dict):
                value["version"] = filters_version()
            number = units.result_number(unit)
            history = self.namespace.get("_oh")
            if number is not None and isinstance(history, dict):
                history[number] = value
            self.note_identity(unit)
        elif kind == "patch":
            patches.write(units.argument_of(unit), value)
        elif kind == "contents":
            patches.set_contents(units.argument_of(unit), value)
        elif kind == "module":
            local_modules.set_module_state(units.argument_of(unit), value)
        elif kind == "process":
            self.process.write(units.argument_of(unit), value)

    def unload(self, unit: str) -> None:
        """Remove a variable that a delta will set or has deleted."""
        if units.kind_of(unit) == "variable":
            self.namespace.pop(unit, None)
            self.identity.pop(unit, None)
            if unit in self.baseline:
                self.namespace[unit] = self.baseline[unit]

    def local_modules(self) -> list[str]:
        """Imported modules that are the author's own files."""
        if len(sys.modules) != self._modules_seen:
            self._modules_seen = len(sys.modules)
            modules = list(sys.modules.items())
            self._local_modules = [n for n, m in modules if n not in self.modules_before and places.is_local(m)]
        return [n for n in self._local_modules if n in sys.modules]

    # -- taking a capture back

    def mark(self) -> None:
        """Remember what is recorded now, for :meth:`back_to_mark`."""
        kept = [(n, set(n.units), n.record) for n in self.all_nodes()]
        self._mark = dict(self.nodes), kept, dict(self.identity), self.process.seen()

    def back_to_mark(self) -> None:
        """The picture as it was: what was put away since is not recorded after all. Live objects stay as they are."""
        if self._mark is None:
            return
        nodes, kept, identity, seen = self._mark
        self._mark = None
        for node, names, record in kept:
            node.units, node.record = names, record
            if node.loaded:
                node.ids = None
        self.nodes, self.identity = nodes, identity
        self.process.forget(seen)

    # -- nodes

    def all_nodes(self) -> list[Node]:
        """Each node once."""
        return list({id(n): n for n in self.nodes.values()}.values())

    def own(self, node: Node, names: Iterable[str]) -> None:
        """``node`` holds ``names`` from now on."""
        for unit in names:
            before = self.nodes.get(unit)
            if before is not None and before is not node:
                before.units.discard(unit)
            self.nodes[unit] = node

    def disown(self, unit: str) -> None:
        """No node holds ``unit`` any more."""
        node = self.nodes.pop(unit, None)
        if node is not None:
            node.units.discard(unit)

    def closure(self, roots: Iterable[str]) -> tuple[dict[int, Node], bool]:
        """The nodes that code mentioning ``roots`` can reach, through the code in them too; and whether that code holds an escape."""
        found: dict[int, Node] = {}
        escapes = False
        work = [*roots, *(u for u in self.nodes if u[0] == "<" and units.kind_of(u) != "class")]
        while work:
            node = self.nodes.get(work.pop())
            if node is None or id(node) in found:
                continue
            found[id(node)] = node
            escapes = escapes or node.record.escapes
            work += node.record.mentions
            work += node.units
            work += [units.class_unit(t) for t in node.record.classes]
        return found, escapes

    def loaded(self) -> Iterator[Node]:
        return (n for n in self.all_nodes() if n.loaded)


ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented)})

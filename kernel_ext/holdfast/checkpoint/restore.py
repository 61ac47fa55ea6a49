"""Deltas applied: registered at once, loaded when needed."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.checkpoint import chunks, pickler, units
from holdfast.checkpoint.delta import Component, Delta
from holdfast.checkpoint.report import Flag
from holdfast.checkpoint.state import Node, State
from holdfast.errors import AuthorError
from holdfast.foundation import faults

#: Components up to this size are loaded together before the first cell that runs; larger ones when a cell can reach them.
EAGER = 256 << 10

#: Names that code binds without meaning anything by it (and IPython after every command): the branch applied last has them.
_NOBODYS = frozenset({"_", "__", "___", "_exit_code"})


class Restorer:
    """Registers deltas and loads components.

    Args:
        state: the room's picture.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._loading: list[Node] = []

    # -- registering

    def register(self, delta: Delta) -> None:
        """Take over what ``delta`` sets and deletes; nothing is loaded.

        Raises:
            AuthorError: HF134, the delta changes something that another branch has changed since their common past.
        """
        self._refuse_conflicts(delta)
        state = self.state
        for unit in delta.deleted:
            state.disown(unit)
            state.unload(unit)
        for record in delta.components:
            node = Node(record, loaded=False)
            state.own(node, record.units)
            for unit in record.units:
                state.unload(unit)

    def _refuse_conflicts(self, delta: Delta) -> None:
        new = {u: c.digest for c in delta.components for u in c.units}
        clash = []
        for unit in [*new, *delta.deleted]:
            node = self.state.nodes.get(unit)
            if node is None or node.renewed or units.kind_of(unit) == "process" or unit in _NOBODYS:
                continue
            if delta.base.get(unit) != node.record.digest and new.get(unit) != node.record.digest:
                clash.append(unit)
        if clash:
            raise AuthorError(
                "HF134",
                f"two parallel branches both changed {', '.join(sorted(clash)[:5])}",
                cure="let one of the steps come `after` the other, or let each write variables of its own",
                cell=delta.cell,
            )

    # -- loading

    def wanted(self, names: Iterable[str] | None) -> list[Node]:
        """Nodes not loaded yet that are needed when code can reach ``names``; None for all."""
        state = self.state
        waiting = [n for n in state.all_nodes() if not n.loaded]
        if names is None or not waiting:
            return waiting
        reached, escapes = state.closure(names)
        if escapes:
            return waiting
        return [
            n
            for n in waiting
            if id(n) in reached or n.record.size <= EAGER or any(units.kind_of(u) not in {"variable", "class"} for u in n.units)
        ]

    def load(self, nodes: Iterable[Node]) -> list[str]:
        """Load components, process state in its order; returns the units."""
        loaded: list[str] = []
        for node in sorted(nodes, key=self._order):
            loaded += self.load_node(node)
        return loaded

    def _order(self, node: Node) -> int:
        orders = [
            self.state.process.order(units.argument_of(u))
            if units.kind_of(u) == "process"
            else {"module": -5, "patch": 2}.get(units.kind_of(u), 0)
            for u in node.units
        ]
        return min(orders, default=0)

    def load_node(self, node: Node) -> list[str]:
        """Load one component and bind its units."""
        if node.loaded or node.record.holes:
            return []
        if node in self._loading:
            raise AuthorError("HF135", f"the classes of {', '.join(sorted(node.units))} need one another", cure="run the step again")
        self._loading.append(node)
        try:
            faults.point("restore.during")
            values = self.read(node.record)
            state = self.state
            node.loaded = True
            found = []
            for unit, value in zip(node.record.units, values, strict=True):
                if unit in node.units:
                    state.assign(unit, value)
                    found.append(unit)
            return found
        finally:
            self._loading.pop()

    def read(self, record: Component) -> tuple[object, ...]:
        """The values of a component. Raises ``AuthorError`` HF136 when it does not load."""
        state = self.state
        parts = [chunks.load(state.blobs, part, n == 0) for n, part in enumerate(record.parts)]
        previous, state.space.resolve = state.space.resolve, self.resolve
        try:
            return pickler.load(state.space, parts[0], parts[1:])
        except (ImportError, AttributeError, KeyError, TypeError, ValueError, EOFError) as error:
            raise AuthorError(
                "HF136",
                f"{', '.join(record.units[:5])} cannot be made again: {type(error).__name__}: {error}",
                cure="install the same packages as when the step ran, or run the step again: holdfast rerun ID --from STEP",
            ) from error
        finally:
            state.space.resolve = previous

    def resolve(self, token: str) -> None:
        """Load the component that defines a class."""
        node = self.state.nodes.get(units.class_unit(token))
        if node is not None and not node.loaded:
            self.load_node(node)

    def flag_missing(self, node: Node) -> list[Flag]:
        """Flags for a component whose holes nothing filled."""
        hole = node.record.holes[0]
        return [
            Flag(u, f"{hole.type} could not be put away and is not there after a resume", "make it in a cell tagged `setup`", "HF130")
            for u in sorted(node.units)
        ]

"""Holes filled: the cells that made or touched what cannot be put away run again, each on the exact state that it met."""

from __future__ import annotations

from typing import Any

from holdfast.checkpoint import units
from holdfast.checkpoint.delta import Delta
from holdfast.checkpoint.report import Replayer, Report
from holdfast.checkpoint.restore import Restorer
from holdfast.checkpoint.state import Node, State
from holdfast.errors import AuthorError


def fill(state: State, restorer: Restorer, history: list[Delta], holed: list[Node], replayer: Replayer | None) -> Report:
    """Run again every cell that a component with holes needs, in order, and bind its units.

    Raises:
        AuthorError: HF132, a cell failed when it ran again, or a variable is not there afterwards.
    """
    report = Report()
    if replayer is None:
        for node in holed:
            report.flags += restorer.flag_missing(node)
            node.loaded = True
            for unit in list(node.units):
                state.disown(unit)
        return report
    wanted = {u for n in holed for u in n.units}
    cells = {c for n in holed for c in n.record.cells}
    aside = {n: state.namespace[n] for n in state.variables()}
    scratch = _Scratch(state)
    held: dict[str, Any] = {}
    try:
        for number, delta in enumerate(history):
            if delta.cell not in cells or number != max(i for i, d in enumerate(history) if d.cell == delta.cell):
                continue
            scratch.become(history[:number], held)
            try:
                replayer.replay(delta.cell)
            except Exception as error:
                raise AuthorError(
                    "HF132",
                    f"a cell that must run again to restore {', '.join(sorted(wanted)[:5])} failed: {type(error).__name__}: {error}",
                    cure="run the step again: holdfast rerun ID --from STEP; or make the thing in a cell tagged `setup`",
                    cell=delta.cell,
                ) from error
            report.replayed.append(delta.cell)
            held = {u: state.namespace[u] for u in _holed_units(history[: number + 1], wanted) if u in state.namespace}
            for variable, token in delta.bound_classes.items():
                value = state.namespace.get(variable)
                if isinstance(value, type):
                    state.space.bind(token, value)
    finally:
        scratch.clear()
        state.namespace.update(aside)
    missing = sorted(u for u in wanted if units.kind_of(u) == "variable" and u not in held and not units.is_result(u))
    if missing:
        raise AuthorError("HF132", f"{', '.join(missing[:5])} was not there after its cells ran again", cure="run the step again")
    for node in holed:
        node.loaded = True
        for unit in node.units:
            if unit in held:
                state.assign(unit, held[unit])
    return report


def _holed_units(history: list[Delta], wanted: set[str]) -> set[str]:
    """Variables held by components with holes at that point of history."""
    live: dict[str, bool] = {}
    for delta in history:
        for unit in delta.deleted:
            live.pop(unit, None)
        for record in delta.components:
            for unit in record.units:
                live[unit] = bool(record.holes)
    return {u for u, holes in live.items() if holes and units.kind_of(u) == "variable"} | {
        u for u in wanted if units.kind_of(u) == "variable" and u in live
    }


class _Scratch:
    """Makes the namespace what it was after some cells, with objects of its own."""

    def __init__(self, state: State) -> None:
        self._state = state

    def clear(self) -> None:
        """Remove every variable."""
        for name in self._state.variables():
            self._state.unload(name)

    def become(self, history: list[Delta], held: dict[str, Any]) -> None:
        """The state after ``history``, except that ``held`` variables are what a replay made them."""
        self.clear()
        state = self._state
        past = State(state.namespace, state.blobs, state.reducers, state.process)
        past.space, past.baseline = state.space, state.baseline
        restorer = Restorer(past)
        for delta in history:
            for unit in delta.deleted:
                past.disown(unit)
            for record in delta.components:
                past.own(Node(record, loaded=False), record.units)
        restorer.load(n for n in past.all_nodes() if not n.record.holes)
        state.namespace.update(held)

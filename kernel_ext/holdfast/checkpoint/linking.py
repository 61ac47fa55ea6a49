"""Which units belong together in this capture: groups by shared objects, overlapping memory and NaN objects, each pickled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from holdfast.checkpoint import arrays, chunks, pickler, units
from holdfast.checkpoint.delta import Hole
from holdfast.checkpoint.graph import Groups, Walk
from holdfast.checkpoint.pickler import ComponentPickler
from holdfast.checkpoint.state import ATOMS, Node, State
from holdfast.foundation import clock


class Fresh:
    """Some units pickled together in this capture."""

    def __init__(self, names: list[str]) -> None:
        self.units = names
        self.spans: list[tuple[int, int]] = []
        self.cost = 0.0
        self.pickler: ComponentPickler
        self.measured: chunks.Measured
        self.done = False


class Linker:
    """Forms and pickles groups.

    Args:
        state: the room's picture.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.walk = Walk(state.space, state.kinds, state.specials())
        self.fresh: list[Fresh] = []
        self._values: dict[str, Any] = {}
        self._settled: list[Fresh] = []

    def value(self, unit: str) -> Any:
        """The value of a unit, the same for the whole capture and alive as long."""
        if unit not in self._values:
            self._values[unit] = self.state.value(unit)
        return self._values[unit]

    def is_plain(self, unit: str) -> bool:
        """Whether a unit's value can share nothing."""
        value = self.value(unit)
        if units.kind_of(unit) == "process":
            return not self.state.process.kinds[units.argument_of(unit)].linked
        return type(value) in ATOMS and value == value

    # -- first look: does a component pickle to the same bytes?

    def settle(self, nodes: Iterable[Node], more: bool) -> list[str]:
        """Pickle components as they were formed.

        Args:
            nodes: components that may have changed.
            more: other units, which could share something with them, are to be looked at.

        Returns:
            units that changed, or that must be compared with others to see what they share now.
        """
        linked, changed = [], []
        for node in nodes:
            if len(node.units) == 1 and self._is_plain_node(node):
                continue  # bound to the very object that was put away
            linked.append(node)
        alone = len(linked) == 1 and not more
        for node in linked:
            if alone and node.units == set(node.record.units) and self._is_settled(node):
                node.stale = True
            else:
                changed += sorted(node.units)
        return changed

    def is_as_recorded(self, node: Node) -> bool:
        """Whether a component still pickles to the bytes that were put away. Never true of what no bytes can hold."""
        return len(node.units) == 1 and self._is_plain_node(node) or self._is_settled(node)

    def _is_plain_node(self, node: Node) -> bool:
        (unit,) = node.units
        return unit in self.state.namespace and node.record.units == [unit] and self.is_plain(unit)

    def _is_settled(self, node: Node) -> bool:
        fresh = Fresh(list(node.record.units))
        try:
            self._pickle(fresh, node.specials)
        except KeyError:  # a class that nothing keeps alive any more
            return False
        if fresh.pickler.holes or fresh.measured.digest(fresh.units) != node.record.digest:
            return False
        node.cost = fresh.cost
        self._settled.append(fresh)
        return True

    def settled(self) -> list[Fresh]:
        """Components found unchanged without a look at what they share."""
        return self._settled

    # -- groups

    def group(self, names: Iterable[str]) -> None:
        """Form groups of ``names``, with the components that share something with one of them, and pickle each."""
        linked = []
        for unit in dict.fromkeys(names):
            if self.is_plain(unit):
                self.fresh.append(Fresh([unit]))
            else:
                linked.append(unit)
        if linked:
            for unit in linked:
                self._visit(unit)
            self._walk_stale(set(linked))
            self._join(linked)
        self._pickle_all()

    def _visit(self, unit: str) -> None:
        value = self.value(unit)
        self.walk.visit(unit, value)
        if units.kind_of(unit) in {"module", "process", "contents"}:
            # the container was made for this look: only what it holds can be shared
            self.walk.ids[unit].discard(id(value))

    def _walk_stale(self, fresh: set[str]) -> None:
        """Components whose objects may have been replaced by equal ones are looked at again before they are compared."""
        for node in self.state.loaded():
            if (node.stale or node.ids is None) and node.units and not node.units & fresh:
                walk = self.walk.apart()
                for unit in node.units:
                    if not self.is_plain(unit):
                        walk.visit(unit, self.value(unit))
                node.ids, node.specials = walk.all_ids(), walk.all_specials()
                node.stale = False

    def _join(self, linked: list[str]) -> None:
        """Groups of units that share; a component left aside that shares with one is drawn in."""
        groups = self.walk.groups
        met = self.walk.owners.keys()
        fresh = set(linked)
        for node in self.state.loaded():
            if not node.ids or not node.units or node.units & fresh:
                continue
            if not met.isdisjoint(node.ids):
                common = met & node.ids
                members = sorted(node.units)
                for unit in members:
                    self._visit(unit)
                    linked.append(unit)
                for key in common:
                    groups.join(self.walk.owners[key], members[0])
        for members in groups.groups(linked):
            self.fresh.append(Fresh(sorted(members, key=lambda u: (units.kind_of(u) != "class", u))))

    # -- pickling

    def _pickle_all(self) -> None:
        seen: set[str] = {u for f in self.fresh for u in f.units}
        work = list(self.fresh)
        while work:
            for fresh in work:
                self._pickle(fresh, self._specials(fresh))
            work = self._new_classes(seen)
            if not work:
                work = self._overlaps()

    def _specials(self, fresh: Fresh) -> dict[int, tuple[str, Any]]:
        found: dict[int, tuple[str, Any]] = {}
        for unit in fresh.units:
            found.update(self.walk.specials.get(unit, {}))
        return found

    def _pickle(self, fresh: Fresh, specials: dict[int, tuple[str, Any]]) -> None:
        started = clock.monotonic()
        state = self.state
        values = [self.value(u) for u in fresh.units]
        by_value = frozenset(id(v) for u, v in zip(fresh.units, values, strict=True) if units.kind_of(u) == "class")
        try:
            fresh.pickler = pickler.dump(state.space, state.reducers, values, by_value, specials)
        except Exception as error:  # whatever an object's own protocol raises
            fresh.pickler = pickler.unpicklable(state.space, state.reducers, f"{type(error).__name__}: {error}"[:300])
        fresh.spans = arrays.spans(fresh.pickler) if fresh.pickler.arrays or fresh.pickler.memory else []
        fresh.measured = chunks.Measured(fresh.pickler.stream.getvalue(), [b.raw() for b in fresh.pickler.buffers])
        fresh.cost = clock.monotonic() - started
        fresh.done = True

    def _new_classes(self, seen: set[str]) -> list[Fresh]:
        """Groups for user classes met for the first time; joined with what they share."""
        found = []
        for fresh in self.fresh:
            for token in fresh.pickler.classes:
                unit = units.class_unit(token)
                if unit not in seen and unit not in self.state.nodes:
                    seen.add(unit)
                    found.append(unit)
        return self._regroup(found) if found else []

    def _regroup(self, more: list[str], pairs: Iterable[tuple[str, str]] = ()) -> list[Fresh]:
        """Form groups again after units or links were added; returns those to pickle."""
        for unit in more:
            self._visit(unit)
        for a, b in pairs:
            self.walk.groups.join(a, b)
        linked = [u for f in self.fresh for u in f.units if u in self.walk.ids] + more
        old = {tuple(f.units): f for f in self.fresh}
        self.fresh = [f for f in self.fresh if f.units[0] not in self.walk.ids]
        self._walk_stale(set(linked))
        self._join(linked)
        self.fresh = [old.get(tuple(f.units), f) for f in self.fresh]
        return [f for f in self.fresh if not f.done]

    def _overlaps(self) -> list[Fresh]:
        """Groups joined because their arrays look at the same memory, or because they hold one and the same NaN."""
        mine = {u for f in self.fresh for u in f.units}
        aside = [n for n in self.state.loaded() if n.units and not n.units & mine]
        pairs = _same_nans(self.fresh, aside, self.walk.groups) + _same_memory(self.fresh, aside, self.walk.groups)
        if not pairs:
            return []
        more = []
        for unit in {u for pair in pairs for u in pair} - mine:
            members = sorted(self.state.nodes[unit].units)
            more += members
            pairs += [(unit, u) for u in members]
        return self._regroup(list(dict.fromkeys(more)), pairs)

    def spread_holes(self) -> None:
        """Instances of a class that only replay makes can only be had by replay too."""
        holed = {u for n in self.state.all_nodes() if n.record.holes for u in n.units if u[0] == "<"}
        grown = True
        while grown:
            grown = False
            for fresh in self.fresh:
                needed = next((t for t in fresh.pickler.classes if units.class_unit(t) in holed), None)
                if needed is not None and not fresh.pickler.holes:
                    fresh.pickler.holes.append(Hole(needed, "its class can only be made by its cell"))
                if fresh.pickler.holes:
                    new = {u for u in fresh.units if u[0] == "<"} - holed
                    grown = grown or bool(new)
                    holed |= new


def _same_memory(fresh: list[Fresh], aside: list[Node], groups: Groups) -> list[tuple[str, str]]:
    """Pairs of groups whose arrays look at the same memory."""
    spans = [(s, f.units[0]) for f in fresh for s in f.spans]
    if not spans:
        return []
    spans += [(s, next(iter(n.units))) for n in aside for s in n.spans]
    spans.sort()
    pairs = []
    end, last = 0, ""
    for (low, high), unit in spans:
        if low < end and last != unit and groups.find(last) != groups.find(unit):
            pairs.append((last, unit))
        if high > end:
            end, last = high, unit
    return pairs


def _same_nans(fresh: list[Fresh], aside: list[Node], groups: Groups) -> list[tuple[str, str]]:
    """Pairs of groups that hold one and the same NaN object."""
    holders: list[tuple[Iterable[int], str]] = [(f.pickler.nans, f.units[0]) for f in fresh if f.pickler.nans]
    if not holders:
        return []
    holders += [(n.nans, next(iter(n.units))) for n in aside if n.nans]
    pairs: list[tuple[str, str]] = []
    first: dict[int, str] = {}
    for nans, unit in holders:
        for key in nans:
            other = first.setdefault(key, unit)
            if groups.find(other) != groups.find(unit):
                pairs.append((other, unit))
    return pairs

"""What a cell changed: rebound and deleted names, and components whose bytes differ, put in a delta."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from holdfast.checkpoint import identity, local_modules, pickler, reach, units
from holdfast.checkpoint.delta import FORMAT, Component, Delta, python_version
from holdfast.checkpoint.linking import Fresh, Linker
from holdfast.checkpoint.report import Flag
from holdfast.checkpoint.state import Node, State
from holdfast.foundation import faults

#: A library's own global is kept when it is at most this large.
_KEEPABLE = 256 << 10


#: What replay would repeat: changes to files are no recorded calls.
HAZARDS = frozenset(
    "mkdir makedirs mkdtemp mkstemp remove unlink rename replace_file rmdir rmtree removedirs symlink link write_text write_bytes "
    "copyfile copytree copy2 truncate NamedTemporaryFile TemporaryDirectory touch".split()
)


class Capturer:
    """One capture.

    Args:
        state: the room's picture.
        cell: the cell that ran.
        touched: nodes that it could reach.
        everything: look at all nodes.
        doubtful: code that can reach anything ran, so that nothing is known to be untouched.
        replayable: whether holes can be filled by replay.
    """

    def __init__(
        self, state: State, cell: str, touched: dict[int, Node], everything: bool, replayable: bool, doubtful: bool = True
    ) -> None:
        self.doubtful = doubtful
        self.hazards: list[str] = []  # what this cell does to files, if it had to run again
        self.statements = False  # whether it sends SQL
        self.addresses = False  # whether it may keep what ``id`` says
        self.state, self.cell, self.touched, self.everything, self.replayable = state, cell, touched, everything, replayable
        self.linker = Linker(state)
        self.flags: list[Flag] = []
        self._bases: dict[str, bytes] = {}

    def run(self, changed_patches: Iterable[str], library: Iterable[str] = ()) -> Delta:
        """Find what changed and put it away.

        Args:
            changed_patches: addresses of attributes that the cell set.
            library: units of library globals that changed by the cell's calls; kept where they can be.
        """
        state, linker = self.state, self.linker
        live = state.variables()
        rebound, gone = self._names(live)
        self._disown(gone)
        ambient, ambient_gone = self._ambient(changed_patches)
        self._disown(ambient_gone)
        ambient += [u for u in library if u in state.nodes or self._is_keepable(u)]
        more = any(not linker.is_plain(u) for u in self._existing([*rebound, *ambient]))
        changed = linker.settle(self._candidates(set(rebound), set(ambient)), more)
        linker.group(self._existing([*rebound, *ambient, *self._companions(ambient, set(rebound)), *changed]))
        faults.point("checkpoint.during")
        linker.spread_holes()
        components = self._store()
        forgotten = self._forget_classes()
        self._note(live)
        space, names = state.space, state.namespace
        bound = {n: space.token(names[n]) for n in live if issubclass(type(names[n]), type) and space.is_user_class(names[n])}
        reached = ["*"] if self.doubtful else sorted({u for node in self.touched.values() for u in node.units})
        deleted = [u for u in [*gone, *ambient_gone, *forgotten] if u not in state.nodes]
        return Delta(FORMAT, python_version(), self.cell, components, deleted, self._bases, bound, reached)

    def spoiled(self) -> tuple[list[Node], list[str]]:
        """For undoing a cell: components that are not as recorded, and names that it made. Nothing is stored."""
        state, linker = self.state, self.linker
        live = state.variables()
        rebound, gone = self._names(live)
        lost = {id(state.nodes[u]): state.nodes[u] for u in [*rebound, *gone] if u in state.nodes}
        rest = [n for n in self._candidates(set(), set()) if id(n) not in lost]
        lost.update((id(n), n) for n in rest if not linker.is_as_recorded(n))
        return list(lost.values()), [n for n in rebound if n not in state.nodes]

    # -- what to look at

    def _names(self, live: list[str]) -> tuple[list[str], list[str]]:
        """Names bound to something else than before, and units that are gone."""
        state = self.state
        present = set(live)
        rebound = [n for n in live if state.is_rebound(n)]
        gone = [u for u, node in state.nodes.items() if node.loaded and state.is_gone(u, present)]  # what was never loaded is not gone
        return rebound, gone

    def _disown(self, names: Iterable[str]) -> None:
        for unit in names:
            self._base(unit)
            self.state.disown(unit)

    def _base(self, unit: str) -> None:
        node = self.state.nodes.get(unit)
        if node is not None:
            self._bases.setdefault(unit, node.record.digest)

    def _candidates(self, rebound: set[str], ambient: set[str]) -> list[Node]:
        """Components that the cell may have changed in place."""
        found = []
        for node in self.state.loaded():
            if not rebound.isdisjoint(node.units) and node.units <= rebound or not ambient.isdisjoint(node.units):
                continue
            if all(u.startswith("<process ") for u in node.units):
                continue
            if self.everything or id(node) in self.touched:
                found.append(node)
        return found

    def _existing(self, names: Iterable[str]) -> list[str]:
        """Without units that have no value any more."""
        found = []
        for unit in dict.fromkeys(names):
            try:
                self.linker.value(unit)
            except (KeyError, AttributeError, ImportError):
                self._disown([unit])
                continue
            found.append(unit)
        return found

    def _ambient(self, changed_patches: Iterable[str]) -> tuple[list[str], list[str]]:
        """Units of process state, patches and local modules to look at; those that are as they were before any cell."""
        state = self.state
        changed, unchanged = state.process.changes()
        looked = [units.process_unit(k) for k in changed]
        gone = [u for k in unchanged if (u := units.process_unit(k)) in state.nodes and state.nodes[u].loaded]
        looked += [units.patch_unit(a) for a in changed_patches]
        for name in state.local_modules():
            unit = units.module_unit(name)
            if unit in state.nodes or local_modules.module_state(sys.modules[name]):
                looked.append(unit)
        return looked, gone

    def _is_keepable(self, unit: str) -> bool:
        """Whether a library's own global can be put away whole; what cannot is taken to be a cache or a handle."""
        try:
            made = pickler.dump(self.state.space, self.state.reducers, (self.state.value(unit),))
        except Exception:  # whatever an object's own protocol raises
            return False
        return not (made.holes or made.losses) and made.stream.tell() <= _KEEPABLE

    def _companions(self, names: Iterable[str], rebound: set[str]) -> list[str]:
        """What stands in one component with units that are looked at."""
        nodes = [self.state.nodes[u] for u in names if u in self.state.nodes]
        return [u for node in nodes for u in sorted(node.units) if u not in rebound]

    def _note(self, live: list[str]) -> None:
        state = self.state
        for name in live:
            state.note_identity(name)
        for name in state.identity.keys() - set(live):
            del state.identity[name]

    # -- storing

    def _store(self) -> list[Component]:
        stored: list[Component] = []
        for fresh in self.linker.settled():
            self._flag(fresh)
        for fresh in self.linker.fresh:
            digest = fresh.measured.digest(fresh.units)
            old = self._previous(fresh)
            # touched things that no bytes can hold may have changed without showing it
            opaque = bool(fresh.pickler.holes) and old is not None and (id(old) in self.touched or self.doubtful)
            if old is not None and old.record.digest == digest and not opaque:
                self._remember(old, fresh)
                self._flag(fresh)
            else:
                self._take(fresh, digest, stored)
        return stored

    def _take(self, fresh: Fresh, digest: bytes, stored: list[Component]) -> None:
        for unit in fresh.units:
            self._base(unit)
        node = Node(self._record(fresh, digest), loaded=True)
        self._remember(node, fresh)
        self.state.own(node, fresh.units)
        self._flag(fresh)
        stored.append(node.record)

    def _remember(self, node: Node, fresh: Fresh) -> None:
        walk = self.linker.walk
        node.stale = not any(u in walk.ids for u in fresh.units) and not self.linker.is_plain(fresh.units[0])
        ids = [walk.ids[u] for u in fresh.units if u in walk.ids]
        node.ids = ids[0] if len(ids) == 1 else frozenset().union(*ids)
        node.specials = {k: v for u in fresh.units for k, v in walk.specials.get(u, {}).items()}
        node.spans, node.cost, node.nans = tuple(fresh.spans), fresh.cost, frozenset(fresh.pickler.nans)

    def _previous(self, fresh: Fresh) -> Node | None:
        """The node that holds exactly these units."""
        node = self.state.nodes.get(fresh.units[0])
        if node is not None and node.units == set(fresh.units) and node.record.units == fresh.units:
            return node
        return None

    def _record(self, fresh: Fresh, digest: bytes) -> Component:
        made = fresh.pickler
        before = [self.state.nodes[u].record for u in fresh.units if u in self.state.nodes]
        largest = max(before, key=lambda r: r.size, default=None)
        cells: list[str] = []
        if made.holes:
            cells = [c for c in dict.fromkeys(c for r in before for c in r.cells) if c != self.cell]
            cells.append(self.cell)
        names = made.mentions
        return Component(
            units=fresh.units,
            parts=fresh.measured.store(self.state.blobs, largest),
            digest=digest,
            classes=sorted(made.classes),
            mentions=sorted(names),
            holes=made.holes,
            cells=cells,
            stores=sorted(made.stores),
            escapes=bool(made.holes) or not reach.ESCAPES.isdisjoint(names),
        )

    def _flag_addresses(self, fresh: Fresh) -> None:
        values = [self.linker.value(u) for u in fresh.units if units.kind_of(u) == "variable"]
        if values and identity.holds_address(values, self.linker.walk.owners.keys()):
            cure = "key by a name or a number of your own"
            self.flags.append(
                Flag(fresh.units[-1], "it holds what id() said of an object, which is another number after a resume", cure, "HF131")
            )

    def _flag(self, fresh: Fresh) -> None:
        made = fresh.pickler
        if self.addresses:
            self._flag_addresses(fresh)
        if not made.losses and not made.holes:
            return
        name = next((u for u in fresh.units if units.kind_of(u) == "variable"), fresh.units[0])
        for what, cure in made.losses:
            self.flags.append(Flag(name, f"a resume does not bring back {what}", cure, "HF131"))
        if made.holes and made.holes[0].type.startswith("sqlite3.") and self.statements and self.replayable:
            why = f"{made.holes[0].type} is restored by running its cell again, which repeats its statements"
            self.flags.append(Flag(name, why, "fetch the rows into a list, and make the tables in a cell of their own", "HF139"))
        elif made.holes and self.replayable and self.hazards:
            why = f"{made.holes[0].type} is restored by running its cell again, which repeats what it does to files ({self.hazards[0]})"
            self.flags.append(Flag(name, why, "make it in a cell of its own, or in one tagged `setup`", "HF139"))
        if made.holes and not self.replayable:
            cure = "make it in a cell tagged `setup`, or close it before the cell ends"
            self.flags.append(Flag(name, f"{made.holes[0].type} cannot be put away ({made.holes[0].why})", cure, "HF130"))

    def _forget_classes(self) -> list[str]:
        """Classes that nothing needs any more."""
        nodes = self.state.nodes
        owned = [u for u in nodes if u.startswith("<class ")]
        if not owned:
            return []
        needed: set[str] = set()
        work: list[Any] = [n for n in self.state.all_nodes() if not all(u.startswith("<class ") for u in n.units)]
        while work:
            node = work.pop()
            for unit in [*(units.class_unit(t) for t in node.record.classes), *node.units]:
                if unit.startswith("<class ") and unit not in needed:
                    needed.add(unit)
                    if unit in nodes:
                        work.append(nodes[unit])
        unneeded = [u for u in owned if u not in needed]
        self._disown(unneeded)
        return unneeded

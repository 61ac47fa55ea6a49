"""The face of the room: what the kernel calls round each cell."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from typing import Any

from holdfast.checkpoint import background, delta, patches, reach, reducers, replay, rollback, units
from holdfast.checkpoint.capture import HAZARDS, Capturer
from holdfast.checkpoint.process import ProcessState
from holdfast.checkpoint.processes import kinds, modules, registries
from holdfast.checkpoint.reducer import Reducer, table
from holdfast.checkpoint.report import Capture, Flag, Replayer, Report
from holdfast.checkpoint.restore import Restorer
from holdfast.checkpoint.state import Node, State
from holdfast.foundation import clock
from holdfast.journal.store import BlobStore

#: All components are looked at when that costs at most this many seconds, or this share of the cell's own time.
SWEEP_SECONDS = 0.0006
SWEEP_SHARE = 0.1
_STATEMENTS = frozenset({"execute", "executemany", "executescript"})


class Checkpointer:
    """Captures what each cell leaves in memory, and brings it back.

    Args:
        namespace: the plain dict in which the author's cells run; ``sys.modules["__main__"].__dict__``.
        blobs: where large parts go.
        replayer: runs a recorded cell again, for what cannot be put away; without it such things are flagged.
        extra_reducers: beside the built-in ones and those that packages announce; later ones win.
    """

    def __init__(
        self, namespace: dict[str, Any], blobs: BlobStore, *, replayer: Replayer | None = None, extra_reducers: Iterable[Reducer] = ()
    ) -> None:
        self.state = State(namespace, blobs, table([*reducers.built_in(), *reducers.announced(), *extra_reducers]), ProcessState(kinds()))
        self.replayer = replayer
        self._restorer = Restorer(self.state)
        self._background = background.Background(namespace)
        self._watch = patches.Watch(namespace, self.state.space)
        self._globals = patches.GlobalsWatch(namespace)
        self._descriptors: set[int] = set()
        self._applied: list[delta.Delta] = []
        self._facts = reach.EVERYTHING
        self._started = 0.0
        self._threads = False
        self._unsure = False
        self._attributes: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()

    def start(self) -> None:
        """Take the baseline: names and process state before any cell of the author."""
        self.state.baseline = dict(self.state.namespace)
        self.state.modules_before = frozenset(sys.modules)
        self.state.process.start()
        self._background.start()

    # -- round a cell

    def before_cell(self, code: str | types.CodeType) -> Report:
        """Load what ``code`` (the cell as Python: transformed source, or compiled) can touch, and note what was there before.

        Raises:
            AuthorError: HF132, HF133, HF136: a part of the state could not be made again.
        """
        started = clock.monotonic()
        facts = self._facts = reach.of_source(code)
        names = facts.names | facts.words
        report = self._materialise(None if facts.escapes else names)
        self._note_before(facts)
        self._threads = self._background.active()
        report.seconds = clock.monotonic() - started
        self._started = clock.monotonic()
        return report

    def _note_before(self, facts: reach.Facts) -> None:
        reached, _ = self.state.closure(facts.names | facts.words)
        mentioned = set(facts.names)
        for node in reached.values():
            mentioned.update(node.record.mentions)
        attributes = set(facts.stores)
        if facts.escapes or "setattr" in mentioned or "delattr" in mentioned:
            attributes |= facts.words | {w for n in reached.values() for w in n.record.mentions}
        attributes |= {w for n in reached.values() for w in n.record.stores}
        self._attributes, self._names = frozenset(attributes), frozenset(mentioned | facts.words)
        self._watch.before(self._names, self._attributes)
        self._globals.before(self._names, facts.imports)
        self._descriptors = background.descriptors()
        if "codecs" in self._names:
            registries.codecs_changed()
        if "linecache" in self._names:
            modules.watch_sources()

    def capture(self, cell: str, *, renewed: bool = False) -> Capture:
        """Put away what the cell that just succeeded left in memory. ``renewed``: every new kernel runs this cell anew (setup), so what
        a recorded delta says of the same names goes before what it makes.

        Large parts are put into the blob store, unsynced; the delta is to be committed by the caller with the step's success.
        """
        started = clock.monotonic()
        state = self.state
        touched, escapes = state.closure(self._facts.names | self._facts.words)
        busy = self._background.active()
        doubtful = self._facts.escapes or escapes or busy or self._threads
        everything = doubtful or self._is_cheap(touched, started - self._started)
        everything, doubtful = everything or self._unsure, doubtful or self._unsure
        self._unsure = False
        state.mark()
        state.space.cell = cell
        capturer = Capturer(state, cell, touched, everything, self.replayer is not None, doubtful)
        capturer.hazards = sorted(self._facts.names & HAZARDS)
        capturer.statements = not _STATEMENTS.isdisjoint(self._facts.names) and "memory" not in self._facts.words
        capturer.addresses = "id" in self._names
        patched = self._watch.changed(self._names, self._attributes)
        made = capturer.run(patched, self._library_changes(patched))
        self._applied.append(made)
        for unit in (u for c in made.components for u in c.units):
            if unit in state.nodes:  # a class that nothing needs any more is gone already
                state.nodes[unit].renewed = renewed
        flags = list(
            dict.fromkeys([*capturer.flags, *self._background.flags(), *self._raw_descriptors(), *background.unseen(self._facts.names)])
        )
        label = "flagged" if flags else "replay" if any(c.holes for c in made.components) else "exact"
        data = delta.encode(made)
        stats = {
            "seconds": clock.monotonic() - started,
            "everything": everything,
            "components": len(state.all_nodes()),
            "pickled": len(capturer.linker.fresh) + len(capturer.linker.settled()),
            "changed": len(made.components),
            "bytes": len(data),
        }
        return Capture(data, label, flags, stats)  # type: ignore[arg-type]

    def forget(self) -> None:
        """The delta of the last capture was not committed: the next one holds what it held, and puts its blobs again."""
        self.state.back_to_mark()
        self._applied.pop()
        self._unsure = True

    def _library_changes(self, patched: set[str]) -> list[str]:
        rebound, refilled = self._globals.changed()
        found = [units.patch_unit(a) for a in sorted(rebound - patched)] + [units.contents_unit(a) for a in sorted(refilled)]
        nodes = self.state.nodes
        found = [u for u in found if units.module_unit(units.argument_of(u).partition("|")[0]) not in nodes]
        return [u for u in found if units.kind_of(u) != "contents" or units.patch_unit(units.argument_of(u)) not in nodes]

    def _raw_descriptors(self) -> list[Flag]:
        """File descriptors opened by number: nothing tells what they belong to."""
        made = sorted(self._facts.of_os & background.DESCRIPTOR_MAKERS)
        if not made or background.descriptors() <= self._descriptors:
            return []
        return [
            Flag(
                f"os.{made[0]}",
                "a file descriptor kept as a number is not there after a resume",
                "keep a file object instead: os.fdopen(fd)",
                "HF131",
            )
        ]

    def _is_cheap(self, touched: dict[int, Node], cell_seconds: float) -> bool:
        cost = sum(n.cost for n in self.state.loaded() if id(n) not in touched)
        return cost <= max(SWEEP_SECONDS, SWEEP_SHARE * cell_seconds)

    # -- restoring

    def apply(self, cell: str, data: bytes) -> None:
        """Take over a recorded delta, lazily: nothing is loaded before a cell needs it. In order; several branches one after another.

        Raises:
            AuthorError: HF134 (branches changed the same thing), HF135 (made by another Python version).
        """
        read = delta.decode(data)
        self._restorer.register(read)
        self._applied.append(read)

    def materialise(self, names: Iterable[str] | None = None) -> Report:
        """Load what code that mentions ``names`` can reach; everything when None."""
        started = clock.monotonic()
        report = self._materialise(None if names is None else frozenset(names))
        report.seconds = clock.monotonic() - started
        return report

    def _materialise(self, names: frozenset[str] | None) -> Report:
        report = Report()
        if not any(not n.loaded for n in self.state.all_nodes()):
            return report
        holed = [n for n in self.state.all_nodes() if not n.loaded and n.record.holes]
        if holed:
            report = replay.fill(self.state, self._restorer, self._applied, holed, self.replayer)
        report.loaded += self._restorer.load(self._restorer.wanted(names))
        return report

    def rollback(self) -> Report:
        """Bring namespace and process state back to what they were before the cell that just failed."""
        facts = self._facts
        touched, escapes = self.state.closure(facts.names | facts.words)
        changed = self._watch.changed(self._names, self._attributes)
        everything = facts.escapes or escapes or self._threads or self._background.active()
        return rollback.run(self.state, self._restorer, touched, everything, changed)

    @property
    def flags(self) -> list[Flag]:
        """What background activity makes doubtful right now."""
        return self._background.flags()

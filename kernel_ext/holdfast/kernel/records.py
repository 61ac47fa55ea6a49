"""What the journal says of the cells of an execution, kept up to date entry by entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from holdfast.journal.store import Store
from holdfast.kernel.outputs import Output
from holdfast.model.entry import Entry, Kind

KINDS: Final = (Kind.CELL_COMPLETED, Kind.STEP_FAILED, Kind.STEP_RESET, Kind.STEP_SKIPPED)
#: Outputs that take more than this go to the blob store, bytes.
INLINE_BYTES: Final = 64 * 1024


class CellRecord:
    """One ``cell.completed``."""

    __slots__ = ("_body", "at", "key", "seq", "step")

    def __init__(self, entry: Entry) -> None:
        self.seq, self.step, self.key, self.at = entry.seq, entry.step or "", entry.key or "", entry.at
        self._body: dict[str, Any] = entry.data

    @property
    def label(self) -> str:
        """What the checkpoint room calls this record: unique even when the cell was edited and recorded again."""
        return label(self.key, self.digest, self.attempt)

    @property
    def digest(self) -> str:
        """Of the source that ran."""
        return str(self._body.get("source_digest", ""))

    @property
    def parameters(self) -> str | None:
        """Digest of the execution's parameters when it ran."""
        return self._body.get("parameters_digest")

    @property
    def source(self) -> str | None:
        """The source that ran."""
        return self._body.get("source")

    @property
    def attempt(self) -> int:
        """Of the step."""
        return int(self._body.get("attempt", 1))

    @property
    def count(self) -> int | None:
        """The execution count it had."""
        return self._body.get("execution_count")

    @property
    def last(self) -> bool:
        """Whether the step succeeded with it."""
        return bool(self._body.get("last"))

    @property
    def error(self) -> dict[str, Any] | None:
        """The error that the author expects of the cell (tag ``raises-exception``)."""
        return self._body.get("error")

    @property
    def flags(self) -> list[Any]:
        """What the checkpoint cannot restore faithfully."""
        return list(self._body.get("flags") or ())

    @property
    def calls(self) -> int:
        """How many calls it made."""
        return int(self._body.get("calls") or 0)

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self._body.get("ended_at", 0.0)) - float(self._body.get("started_at", 0.0))

    @property
    def label_of_restore(self) -> str:
        """``exact``, ``replay`` or ``flagged``."""
        return str(self._body.get("label") or "exact")

    def deltas(self) -> Iterator[tuple[str, bytes]]:
        """What it changed, in the order to apply, each with its label; first what a failed cell before it left behind."""
        for name, delta in self._body.get("residue") or ():
            yield name, delta
        delta = self._body.get("delta")
        if delta is not None:
            yield self.label, delta

    @property
    def residue(self) -> list[tuple[str, str]]:
        """Label and source of failed cells whose changes are part of this record."""
        return [(name, source) for name, source in self._body.get("residue_sources") or ()]

    def outputs(self, store: Store) -> list[Output]:
        """What it published."""
        held = self._body.get("outputs") or []
        if isinstance(held, dict):
            return list(msgspec.msgpack.decode(store.blobs.get(held["blob"])))
        return list(held)


def label(key: str, digest: str, attempt: int) -> str:
    """The checkpoint room's name for one run of a cell."""
    return f"{key}@{digest[:12]}.{attempt}"


def stored(outputs: list[Output], store: Store) -> Any:
    """The outputs as a body holds them: in it, or as the address of a blob."""
    packed = msgspec.msgpack.encode(outputs)
    if len(packed) <= INLINE_BYTES:
        return outputs
    return {"blob": store.blobs.put(packed), "bytes": len(packed)}


class RecordBook:
    """The cells of one execution.

    Args:
        store: the journal.
        execution: its id.
    """

    def __init__(self, store: Store, execution: str) -> None:
        self._store, self.execution = store, execution
        self._seq = 0
        self._cells: dict[tuple[str, str], CellRecord] = {}  # the last record of each cell counts, no other
        self._failures: dict[str, list[Entry]] = {}
        self._skipped: dict[str, Entry] = {}
        self._floors: dict[str, int] = {}  # attempts made before a reset that kept the calls
        self._versions: dict[str, CellRecord] = {}  # by label, superseded ones too

    def refresh(self) -> None:
        """Read what was written since."""
        for entry in self._store.read(self.execution, after=self._seq, kinds=KINDS):
            self._seq = entry.seq
            step = entry.step or ""
            if entry.kind == Kind.CELL_COMPLETED:
                record = CellRecord(entry)
                self._cells[step, record.key] = self._versions[record.label] = record
            elif entry.kind == Kind.STEP_FAILED:
                self._failures.setdefault(step, []).append(entry)
            elif entry.kind == Kind.STEP_SKIPPED:
                self._skipped[step] = entry
            else:
                self._forget(step, keep_calls=bool(entry.data.get("keep_calls")))

    def _forget(self, step: str, *, keep_calls: bool) -> None:
        # With the calls kept, the next attempt must be a new one, or reads of the outside would be answered with what they found then.
        self._floors[step] = self.attempts(step) if keep_calls else 0
        for place in [p for p in self._cells if p[0] == step]:
            record = self._cells.pop(place)
            if keep_calls:
                self._floors[step] = max(self._floors[step], record.attempt)
        self._failures.pop(step, None)
        self._skipped.pop(step, None)

    def find(self, step: str, key: str) -> CellRecord | None:
        """The record of a cell, whatever its source was."""
        return self._cells.get((step, key))

    def version(self, name: str) -> CellRecord | None:
        """The record with this :attr:`CellRecord.label`."""
        return self._versions.get(name)

    def of_step(self, step: str) -> list[CellRecord]:
        """The step's records in order of seq."""
        return sorted((r for r in self._cells.values() if r.step == step), key=_seq)

    def in_order(self) -> list[CellRecord]:
        """All records that count, in order of seq."""
        return sorted(self._cells.values(), key=_seq)

    def failures(self, step: str) -> list[Entry]:
        """``step.failed`` entries of the step, in order."""
        return self._failures.get(step, [])

    def failed_steps(self) -> Iterable[str]:
        """Steps whose last word is a failure."""
        return [s for s, failures in self._failures.items() if all(r.seq < failures[-1].seq for r in self.of_step(s))]

    def skipped(self, step: str) -> Entry | None:
        """The entry that says the step was left out."""
        return self._skipped.get(step)

    def attempts(self, step: str) -> int:
        """How many attempts at the step are over without a record that counts."""
        failed = (int(e.data.get("attempt", n)) for n, e in enumerate(self.failures(step), 1))
        return max(failed, default=self._floors.get(step, 0))


def _seq(record: CellRecord) -> int:
    return record.seq

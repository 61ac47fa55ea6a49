"""What the journal says of an execution's steps: the little that the engine needs to go on."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.journal.store import Store
from holdfast.model.entry import Entry, Kind
from holdfast.model.manifest import Manifest, Step

_KINDS = (
    Kind.STEP_STARTED,
    Kind.STEP_FAILED,
    Kind.STEP_SKIPPED,
    Kind.STEP_RESET,
    Kind.CELL_COMPLETED,
    Kind.EXECUTION_CREATED,
    Kind.EXECUTION_RESUMED,
    Kind.CHANGES_ACCEPTED,
    Kind.NOTE,
)


class CellRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A ``cell.completed`` entry, without its outputs and state."""

    seq: int
    source_digest: str
    parameters_digest: str
    last: bool
    at: float


class StepRecord(msgspec.Struct, kw_only=True):
    """What is known of one step."""

    cells: dict[str, CellRecord] = {}  # cell id -> its record
    failures: int = 0  # attempts that failed
    resets: int = 0
    since_person: int = 0  # of those: since a person last said "go on", which renews the retry budget
    terminal: bool = False  # the last failure allows no retry
    not_before: float | None = None  # seconds since the epoch: when the next attempt may start
    skipped: str | None = None  # why
    deaths: int = 0  # kernels that died in it since it last got anywhere

    @property
    def attempt(self) -> int:
        """The number of the attempt that is under way or comes next, 1, 2 ..."""
        return self.failures + self.resets + 1


class Record:
    """The entries of an execution, folded.

    Args:
        entries: in order of seq; kinds that do not matter here may be among them.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.steps: dict[str, StepRecord] = {}
        self.kernels: dict[int, tuple[int, str, str, str]] = {}  # pid -> pid, start time, host, boot
        self.created: dict[str, object] = {}  # body of execution.created
        self.last_seq = 0
        for entry in entries:
            self.add(entry)

    @classmethod
    def load(cls, store: Store, execution: str) -> Record:
        """Read and fold."""
        return cls(store.read(execution, kinds=_KINDS))

    def step(self, name: str) -> StepRecord:
        """The record of step ``name``, empty when it was never touched."""
        return self.steps.setdefault(name, StepRecord())

    def add(self, entry: Entry) -> None:
        """Take one more entry."""
        self.last_seq = max(self.last_seq, entry.seq)
        if entry.kind == Kind.EXECUTION_CREATED:
            self.created = entry.data
        elif entry.kind == Kind.EXECUTION_RESUMED:
            for record in self.steps.values():
                record.since_person, record.not_before, record.deaths, record.terminal = 0, None, 0, False
        elif entry.kind == Kind.NOTE:
            self._note(entry)
        elif entry.step is not None:
            self._of_step(entry, self.step(entry.step))

    def _of_step(self, entry: Entry, record: StepRecord) -> None:
        if entry.kind == Kind.CELL_COMPLETED:
            body = entry.data
            record.deaths, record.skipped = 0, None
            record.cells[entry.key or ""] = CellRecord(
                seq=entry.seq,
                source_digest=body.get("source_digest") or "",
                parameters_digest=body.get("parameters_digest") or "",
                last=bool(body.get("last")),
                at=entry.at,
            )
        elif entry.kind == Kind.STEP_FAILED:
            record.failures += 1
            record.terminal = bool((entry.data.get("error") or {}).get("type") == "TerminalError" or entry.data.get("terminal"))
            record.since_person += 1
            record.not_before = None
        elif entry.kind == Kind.STEP_STARTED:
            record.not_before = entry.data.get("not_before")
        elif entry.kind == Kind.STEP_SKIPPED:
            record.skipped = entry.data.get("reason") or "skipped"
        elif entry.kind == Kind.STEP_RESET:
            self.steps[entry.step or ""] = StepRecord(failures=record.failures, resets=record.resets + 1)

    def _note(self, entry: Entry) -> None:
        body = entry.data
        if body.get("what") == "kernel_started":
            self.kernels[body["pid"]] = (body["pid"], body["started"], body["host"], body["boot"])
        elif body.get("what") == "kernel_died" and entry.step:
            self.step(entry.step).deaths += 1

    def complete(self, step: Step, parameters_digest: str) -> bool:
        """Whether every cell of ``step`` is recorded as it stands now."""
        record = self.steps.get(step.name)
        return record is not None and bool(step.cells) and all(self._counts(record, c.id, c.digest, parameters_digest) for c in step.cells)

    @staticmethod
    def _counts(record: StepRecord, cell: str, digest: str, parameters_digest: str) -> bool:
        known = record.cells.get(cell)
        return known is not None and known.source_digest == digest and known.parameters_digest == parameters_digest

    def completed(self, manifest: Manifest, parameters_digest: str) -> set[str]:
        """Names of the steps that succeeded."""
        return {s.name for s in manifest.steps if self.complete(s, parameters_digest)}

"""The contract of a place where a journal lives. Implementations are in ``journal/stores/``; the suite that each must pass is
``holdfast.testing.contracts.store``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from typing_extensions import Buffer

from holdfast.journal.streams import StreamStore
from holdfast.model.entry import Draft, Entry, Pending
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.lease import Lease, Owner


class BlobStore(Protocol):
    """Content-addressed bytes. The address is the BLAKE3 hash keyed with the installation's key, so that it is digest and MAC in
    one: reading verifies both, and a blob that is truncated or tampered with raises ``StoreError`` HF510 instead of being returned."""

    def put(self, data: Buffer, *, compress: bool = True) -> bytes:
        """Store and return the 32-byte address; a blob that is there already is not written again. Durable after :meth:`sync`."""

    def get(self, address: bytes) -> memoryview:
        """The verified bytes. Raises ``LookupFailedError`` HF604 when there is no such blob."""

    def map(self, addresses: Sequence[bytes], sizes: Sequence[int]) -> memoryview:
        """The concatenation of several blobs (each but the last 1 MiB) as private, writable, copy-on-write memory; without copying
        where the store can map its file. Verified."""

    def sync(self) -> None:
        """Make all that was put durable. ``Store.append`` calls it first, so most callers need not."""


class Store(Protocol):
    """A journal's home. All methods may be called from any thread. Every method raises ``StoreError`` (HF5xx) when the store
    cannot be reached or written (a full disk included); the transaction then did not happen or, after a lost connection during
    commit, is looked for before the error is raised."""

    @property
    def blobs(self) -> BlobStore:
        """Where large values and checkpoints go."""

    @property
    def streams(self) -> StreamStore:
        """What belongs to no single execution: streams, cursors, the order of changes."""

    @property
    def key(self) -> bytes:
        """The installation's 32-byte key."""

    def create(self, execution: Execution, drafts: Sequence[Draft] = ()) -> Execution:
        """Write a header and its first entries in one transaction. When ``execution.key`` is taken, nothing is written and the
        execution that has it is returned. Raises ``OperatorError`` HF224 when the id is taken."""

    def append(
        self,
        execution: str,
        drafts: Sequence[Draft],
        *,
        fence: int | None,
        change: Change | None = None,
        opens: Sequence[Pending] = (),
        closes: Sequence[str] = (),
    ) -> int:
        """Write entries, header changes and pending matters in one transaction, after ``blobs.sync()``; returns the last seq.

        With a fence (a worker): raises ``Fenced`` unless it is the execution's current one; checked in the same transaction.
        Without (somebody from outside): only entries with no fence. A draft whose ``once`` is taken raises ``OnceTaken``
        (journal.errors), which carries the entry that has it, and nothing is written."""

    def read(
        self,
        execution: str,
        *,
        after: int = 0,
        step: str | None = None,
        kinds: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> list[Entry]:
        """Entries in order of seq, of one step and of some kinds when given."""

    def find_once(self, execution: str, once: str) -> Entry | None:
        """The entry that has taken ``once``."""

    def header(self, execution: str) -> Execution | None:
        """The header, or None."""

    def headers(
        self,
        *,
        statuses: Iterable[Status] | None = None,
        runbook: str | None = None,
        path: str | None = None,
        parent: str | None = None,
        key: str | None = None,
        due_before: float | None = None,
        orphaned_at: float | None = None,
        newest_first: bool = True,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[Execution]:
        """Headers by index, by id. ``due_before`` with the oldest first, and no ``after``: the longest due first. ``orphaned_at``: running
        ones whose lease ended before that time. ``after``: paging, the last id seen."""

    def pending(
        self,
        *,
        kind: str | None = None,
        execution: str | None = None,
        key: str | None = None,
        due_before: float | None = None,
        limit: int | None = None,
    ) -> list[Pending]:
        """Open matters, by due time, by index."""

    def claim(
        self, execution: str, owner: Owner, ttl: float, *, dead: str | Collection[str] | None = None, step: str | None = None
    ) -> Lease | None:
        """Take the lease when nobody holds it, when it ended, when ``owner`` has it already, or when its holder's text is
        among ``dead`` (the caller saw that process gone). Raises the fence by one each time, also for the same owner. None when it is held.

        With ``step``: the lease of that step alone. Steps of one execution may be leased by different workers at a time, each with a
        fence of its own; nobody has the whole then. The whole may be claimed when no step is held by anybody else, and takes it from
        those whose leases ended."""

    def step_leases(self, execution: str) -> list[Lease]:
        """The leases of single steps, those that ended and that nobody took included; empty when the execution is unknown."""

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """Prolong. Raises ``Fenced`` when it was lost."""

    def release(self, lease: Lease) -> None:
        """Give it back; nothing happens when it was lost."""

    def now(self) -> float:
        """The store's clock (leases are compared on it), seconds since the epoch."""

    def close(self) -> None:
        """Close connections."""

"""A worker's hold on one execution: a store, a fence, an actor. What kernel and engine write through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Pending
from holdfast.model.execution import Change


class Writer:
    """Appends to one execution under one fence.

    Args:
        store: the journal.
        execution: its id.
        fence: as granted by ``Store.claim``; every append checks it.
        actor: who acts, for the record (a person's name where known, else the worker).
    """

    def __init__(self, store: Store, execution: str, fence: int, actor: str) -> None:
        self.store, self.execution, self.fence, self.actor = store, execution, fence, actor

    def append(
        self,
        kind: str,
        body: Mapping[str, Any] | bytes = b"",
        *,
        step: str | None = None,
        key: str | None = None,
        once: str | None = None,
        change: Change | None = None,
        opens: Sequence[Pending] = (),
        closes: Sequence[str] = (),
    ) -> int:
        """Write one entry; returns its seq. Raises ``Fenced``, ``StoreError``, ``OnceTaken``."""
        draft = Draft(kind=kind, step=step, key=key, body=body, actor=self.actor, once=once)
        return self.append_all((draft,), change=change, opens=opens, closes=closes)

    def append_all(
        self, drafts: Sequence[Draft], *, change: Change | None = None, opens: Sequence[Pending] = (), closes: Sequence[str] = ()
    ) -> int:
        """Write several entries in one transaction; returns the last seq."""
        return self.store.append(self.execution, drafts, fence=self.fence, change=change, opens=opens, closes=closes)

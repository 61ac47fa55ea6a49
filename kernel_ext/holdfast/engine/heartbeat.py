"""Keeps the lease of an execution while the engine works, and hears what people ask of it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from holdfast.errors import Fenced, StoreError
from holdfast.executions.requests import Asked, open_requests
from holdfast.foundation import clock, faults
from holdfast.journal.store import Store
from holdfast.model.entry import Kind
from holdfast.model.lease import Lease

#: Seconds between two looks at what was asked from outside.
LOOK = 0.5


class Heartbeat:
    """A thread that renews a lease and reads requests, from :meth:`start` to :meth:`stop`.

    Args:
        store: the journal.
        lease: as claimed.
        ttl: seconds; it renews after a third of it.
        asked: called with every new request.
        lost: called once, with the reason, when the lease is lost.
        after: the last entry that is known already.
    """

    def __init__(
        self, store: Store, lease: Lease, ttl: float, *, asked: Callable[[Asked], None], lost: Callable[[str], None], after: int
    ) -> None:
        self._store, self._lease, self._ttl = store, lease, ttl
        self._asked, self._lost, self._after = asked, lost, after
        self._end, self._looking = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; does not give the lease back."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def _beat(self) -> None:
        renewed = clock.monotonic()
        while not self._end.wait(min(LOOK, self._ttl / 6)):
            try:
                if clock.monotonic() - renewed >= self._ttl / 3:
                    faults.point("lease.during_renewal")
                    self._lease = self._store.renew(self._lease, self._ttl)
                    renewed = clock.monotonic()
                self.look()
            except Fenced as fenced:
                self._lost(fenced.reason or "another worker has taken the execution over")
                return
            except StoreError as error:
                # The lease may still be ours; every write checks. Only when it must have run out meanwhile is it time to go.
                if clock.monotonic() - renewed > self._ttl:
                    self._lost(f"the journal could not be reached for {self._ttl:g} s: {error.what}")
                    return

    def look(self) -> None:
        """Hear of every request that is in the journal by now, from any thread.

        Raises:
            StoreError.
        """
        with self._looking:
            entries = self._store.read(self._lease.execution, after=self._after, kinds=(Kind.REQUESTED,))
            for entry in entries:
                self._after = max(self._after, entry.seq)
            for one in open_requests(e for e in entries if e.fence != self._lease.fence):  # what we wrote we have heard
                self._asked(one)

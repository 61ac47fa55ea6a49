"""The audit log: every act and every refusal at the gateway, in a stream of the journal whose lines are chained by a keyed digest.

A line is written *before* its act is done, so that there is no act without a line; an act that then fails gets a second one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from holdfast.access.person import Person
from holdfast.journal.chain import Verified, verify
from holdfast.journal.store import Store
from holdfast.model.stream import Line, LineDraft

STREAM: Final = "audit"
ALLOWED: Final = "allowed"
REFUSED: Final = "refused"
FAILED: Final = "failed"

_LONGEST: Final = 500
_PAGE: Final = 1000


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One line for people. ``at`` in seconds since the epoch."""

    seq: int
    at: float
    outcome: str  # allowed, refused, failed
    who: str
    action: str
    thing: str | None
    runbook: str | None = None
    how: str = ""  # how the person was recognised
    via: str = ""  # api, inbox, jupyter ...
    address: str = ""  # where the request came from
    code: str | None = None  # of the error, when refused or failed
    detail: str = ""
    digest: str = ""


class AuditLog:
    """Writes and reads the stream.

    Args:
        store: the journal.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(
        self,
        outcome: str,
        person: Person | None,
        action: str,
        thing: str | None,
        *,
        runbook: str | None = None,
        via: str = "",
        address: str = "",
        code: str | None = None,
        detail: str = "",
    ) -> int:
        """One line; its number.

        Raises:
            StoreError: it could not be written: the act must not be done.
        """
        body = {
            "action": action, "runbook": runbook, "how": person.how if person else "", "via": via, "address": address, "code": code,
            "detail": detail[:_LONGEST],
        }  # fmt: skip
        kept = {k: v for k, v in body.items() if v}
        draft = LineDraft(kind=outcome, key=thing[:_LONGEST] if thing else None, body=kept, actor=person.name if person else "")
        return self._store.streams.add(STREAM, [draft])[0].line.seq

    def list(self, *, after: int = 0, limit: int | None = None, newest_first: bool = False, outcome: str | None = None) -> list[Act]:
        """Lines in order.

        Raises:
            StoreError.
        """
        kinds = None if outcome is None else (outcome,)
        return [_act(n) for n in self._store.streams.lines(STREAM, after=after, kinds=kinds, newest_first=newest_first, limit=limit)]

    def everything(self) -> Iterator[Act]:
        """All lines, a page at a time.

        Raises:
            StoreError.
        """
        last = 0
        while page := self.list(after=last, limit=_PAGE):
            yield from page
            last = page[-1].seq

    def verify(self, known: Verified | None = None) -> Verified:
        """Look at every line.

        Args:
            known: an earlier result kept elsewhere; it shows that the end was not cut off.

        Raises:
            StoreError: HF512, with the first line that is not as it was written.
        """
        return verify(self._store.streams, STREAM, self._store.key, known=known)


def _act(line: Line) -> Act:
    body: dict[str, Any] = line.data
    return Act(
        seq=line.seq,
        at=line.at,
        outcome=line.kind,
        who=line.actor,
        action=str(body.get("action", "")),
        thing=line.key,
        runbook=body.get("runbook"),
        how=body.get("how", ""),
        via=body.get("via", ""),
        address=body.get("address", ""),
        code=body.get("code"),
        detail=body.get("detail", ""),
        digest=line.digest.hex(),
    )

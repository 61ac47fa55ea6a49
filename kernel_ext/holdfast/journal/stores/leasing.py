"""Who may have the lease of an execution, or of one of its steps: decided here for every store, from the header's row."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from holdfast.model.lease import Lease


class StepLease(msgspec.Struct, frozen=True, kw_only=True):
    """One step that a worker of its own has leased."""

    step: str
    fence: int
    owner: str
    until: float


class Leases(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a header that leases are made of.

    Either the whole execution is leased, or some of its steps; then ``owner`` is that of the step leased last, and ``until`` the last end.
    """

    fence: int
    owner: str | None
    until: float | None
    steps: tuple[StepLease, ...] = ()

    def admit(self, fence: int) -> bool:
        """Whether a worker with this fence may write."""
        return any(s.fence == fence for s in self.steps) if self.steps else fence == self.fence

    def claimed(self, owner: str, until: float, now: float, *, dead: str | Collection[str] | None, step: str | None) -> Leases | None:
        """As they are after ``owner`` has claimed; None when somebody else's right stands in the way."""
        yielding = {owner, *([dead] if isinstance(dead, str) else dead or ())}
        if self.steps:
            free = not any(s.until > now and s.owner not in yielding for s in self.steps if step is None or s.step == step)
        else:
            free = self.owner is None or self.until is None or self.until <= now or self.owner in yielding
        if not free:
            return None
        fence = self.fence + 1
        if step is None:
            return Leases(fence=fence, owner=owner, until=until)
        kept = tuple(s for s in self.steps if s.step != step)
        return self._of_steps(fence, (*kept, StepLease(step=step, fence=fence, owner=owner, until=until)))

    def renewed(self, lease: Lease, until: float) -> Leases | None:
        """As they are after a renewal; None when the lease was lost."""
        if lease.step is None:
            if self.steps or (self.fence, self.owner) != (lease.fence, lease.owner):
                return None
            return Leases(fence=self.fence, owner=self.owner, until=until)
        if not any((s.step, s.fence, s.owner) == (lease.step, lease.fence, lease.owner) for s in self.steps):
            return None
        return self._of_steps(
            self.fence, tuple(msgspec.structs.replace(s, until=until) if s.fence == lease.fence else s for s in self.steps)
        )

    def released(self, lease: Lease) -> Leases | None:
        """As they are after a release; None when there is nothing to give back."""
        if self.renewed(lease, 0.0) is None:
            return None
        kept = tuple(s for s in self.steps if s.fence != lease.fence)
        return self._of_steps(self.fence, kept) if kept else Leases(fence=self.fence, owner=None, until=None)

    @staticmethod
    def _of_steps(fence: int, steps: tuple[StepLease, ...]) -> Leases:
        return Leases(fence=fence, owner=steps[-1].owner, until=max(s.until for s in steps), steps=steps)


_decoder = msgspec.json.Decoder(tuple[StepLease, ...])


def leases_of(fence: int, owner: str | None, until: float | None, steps: str | None) -> Leases:
    """From the header's columns."""
    return Leases(fence=fence, owner=owner, until=until, steps=_decoder.decode(steps) if steps else ())


def columns(leases: Leases) -> tuple[int, str | None, float | None, str | None]:
    """To the header's columns: fence, owner, lease_until, step_leases."""
    return leases.fence, leases.owner, leases.until, msgspec.json.encode(leases.steps).decode() if leases.steps else None


def step_leases(execution: str, leases: Leases) -> list[Lease]:
    """Those of single steps, as they were granted."""
    return [Lease(execution=execution, fence=s.fence, owner=s.owner, until=s.until, step=s.step) for s in leases.steps]

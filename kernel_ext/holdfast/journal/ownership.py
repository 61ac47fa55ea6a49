"""Who a worker is, and taking an execution over from one that is gone."""

from __future__ import annotations

import os
from collections.abc import Sequence

from holdfast.errors import OperatorError
from holdfast.foundation import clock, process
from holdfast.journal.store import Store
from holdfast.model.execution import Execution
from holdfast.model.lease import Lease, Owner


def this_process(label: str) -> Owner:
    """This process as an owner. ``label`` tells people what it is: ``engine``, ``lab``, ``dagster`` ..."""
    pid = os.getpid()
    return Owner(host=process.host(), boot=process.boot_id(), pid=pid, started=process.start_time(pid) or "?", label=label)


def parse(text: str) -> Owner | None:
    """The owner whose :attr:`Owner.text` this is; None when it is none."""
    label, at, rest = text.partition("@")
    place, _, tail = rest.partition("/")
    started, slash, boot = tail.partition("/")
    host, colon, pid = place.rpartition(":")
    if not (at and slash and colon and pid.isdigit()):
        return None
    return Owner(host=host, boot=boot, pid=int(pid), started=started, label=label)


def described(owner: str) -> str:
    """An owner's text for people; what is none is given back."""
    who = parse(owner)
    return f"{who.label} on {who.host}, process {who.pid}" if who else owner


def gone(text: str) -> bool:
    """Whether the owner was a process of this machine, in this boot, that no longer exists. False when that cannot be told from here."""
    owner = parse(text)
    if owner is None or owner.host != process.host() or owner.boot != process.boot_id() or owner.boot == "unknown":
        return False
    return not process.alive(owner.pid, owner.started)


def unattended(header: Execution, now: float, steps: Sequence[Lease] = ()) -> bool:
    """Whether nobody works on the execution: no lease, one that ran out by ``now`` (the store's clock), or its holder's process is gone.

    Args:
        steps: the leases of its single steps: then each of them counts.
    """
    if steps:
        return all(s.until <= now or gone(s.owner) for s in steps)
    if header.owner is None or header.lease_until is None or header.lease_until <= now:
        return True
    return gone(header.owner)


def take(store: Store, execution: str, owner: Owner, ttl: float, *, step: str | None = None) -> Lease:
    """Claim the lease of ``execution``: free, run out, or held by processes of this machine that are gone.

    Args:
        ttl: seconds until it must be renewed.
        step: claim that step alone, beside workers of others.

    Raises:
        OperatorError: HF250, somebody else holds it; ``where`` says who and until when.
    """
    lease = store.claim(execution, owner, ttl, step=step)
    if lease is not None:
        return lease
    dead = [holder for holder, _ in _holders(store, execution, step) if gone(holder)]
    lease = store.claim(execution, owner, ttl, dead=dead, step=step) if dead else None
    if lease is not None:
        return lease
    holder, until = next(((h, u) for h, u in _holders(store, execution, step) if h not in dead), (None, None))
    raise held(execution, holder, until)


def _holders(store: Store, execution: str, step: str | None) -> list[tuple[str, float | None]]:
    """Whose rights stand in the way, and until when."""
    now = store.now()
    leases = store.step_leases(execution)
    if leases:
        return [(s.owner, s.until) for s in leases if s.until > now and step in (None, s.step)]
    header = store.header(execution)
    return [(header.owner, header.lease_until)] if header and header.owner else []


def held(execution: str, owner: str | None, until: float | None) -> OperatorError:
    """The error that says who has the execution now."""
    name = described(owner) if owner else "another worker"
    ends = f" until {clock.iso(until)} unless renewed" if until else ""
    return OperatorError(
        "HF250",
        f"another worker has this execution: {name}{ends}",
        cure="Wait for it, pause or cancel the execution, or end that worker; its lease then runs out by itself.",
        execution=execution,
    )

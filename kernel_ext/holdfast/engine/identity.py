"""Which process works, for drivers outside: told apart by host, boot, pid and start time, as the journal's leases do."""

from __future__ import annotations

from holdfast.foundation import process
from holdfast.journal.ownership import gone, parse, this_process
from holdfast.model.lease import Owner

__all__ = ["end", "gone", "identity", "parse", "this_process"]


def identity(pid: int, label: str) -> str | None:
    """The process ``pid`` of this machine as one line, comparable with a lease's owner; None when there is none."""
    started = process.start_time(pid)
    if started is None:
        return None
    return Owner(host=process.host(), boot=process.boot_id(), pid=pid, started=started, label=label).text


def end(text: str, *, grace: float = 0.0) -> bool:
    """End that very process when it is one of this machine: SIGTERM, and SIGKILL after ``grace`` seconds. Returns whether it was there."""
    owner = parse(text)
    if owner is None or owner.host != process.host() or owner.boot != process.boot_id():
        return False
    return process.end(owner.pid, owner.started, grace=grace)

"""Suspended executions that may go on, for schedulers outside (Dagster): see ``holdfast.executions.waking``."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from holdfast.client.client import Client
from holdfast.executions import family, waking
from holdfast.foundation import process
from holdfast.journal.errors import OnceTaken
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Status


def due(client: Client, *, leave: Collection[str] = (), limit: int | None = None) -> list[Execution]:
    """Suspended executions whose answer, timer, signal or child is there, the longest due first.

    Args:
        leave: ids that are not wanted now; they do not count towards ``limit``.

    Raises:
        StoreError.
    """
    return waking.due(client.store, leave=leave, limit=limit)


def orphans(client: Client) -> list[Execution]:
    """Running executions whose worker is gone.

    Raises:
        StoreError.
    """
    return waking.orphans(client.store)


def left_children(client: Client) -> list[Execution]:
    """Children of executions that nobody works on, which may themselves go on: see ``holdfast.executions.waking``.

    Raises:
        StoreError.
    """
    return waking.left_children(client.store)


def ancestors(client: Client, execution: Execution) -> list[Execution]:
    """Whoever started the execution, whoever started that, and so on.

    Raises:
        StoreError.
    """
    return family.ancestors(client.store, execution)


def claim_wake_up(client: Client, id: str, by: str) -> bool:
    """Whether the caller is the one to start a worker for this suspension of the execution.

    Raises:
        StoreError.
    """
    return waking.claim_wake_up(client.store, id, by)


def note_scheduler(client: Client, id: str, launcher: str, home: str, run: str = "") -> None:
    """Write down which scheduler works on the execution, and where: workers leave it to that, and tell it there when it may go on; pages
    link to its run.

    Args:
        launcher: the name under which it is announced (``holdfast.launchers``).
        home: its folder on this machine.
        run: its own id for this piece of work.

    Raises:
        StoreError.
    """
    body = {"what": waking.SCHEDULER, "launcher": launcher, "home": home, "host": process.host(), "run": run}
    once = f"scheduler:{launcher}:{home}:{run}"
    with contextlib.suppress(OnceTaken):
        client.store.append(id, (Draft(kind=Kind.NOTE, body=body, actor=launcher, once=once),), fence=None)


def driven_by(client: Client, id: str, launcher: str, home: str) -> bool:
    """Whether that scheduler was the last to drive the execution, or the nearest one above it that any has driven.

    Raises:
        StoreError.
    """
    scheduler = waking.scheduler_of(client.store, id)
    return scheduler is not None and (scheduler.launcher, scheduler.home) == (launcher, home)


def wake_scheduler(client: Client, id: str) -> bool:
    """Tell the scheduler of a suspended execution at once that it may go on, in a process of its own that is not waited for.

    Returns:
        whether there is a scheduler to tell; without one, a worker or a person continues the execution.

    Raises:
        StoreError.
    """
    header = client.get(id)
    scheduler = waking.scheduler_of(client.store, header.id) if header.status == Status.SUSPENDED else None
    return scheduler is not None and waking.tell(scheduler, client.config)

"""Suspended executions that may go on, for schedulers outside (Dagster): see ``holdfast.executions.waking``."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from holdfast.client.client import Client
from holdfast.executions import waking
from holdfast.foundation import plugins, process
from holdfast.journal.errors import OnceTaken
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Status


def due(client: Client, *, limit: int | None = None) -> list[Execution]:
    """Suspended executions whose answer, timer, signal or child is there.

    Raises:
        StoreError.
    """
    return waking.due(client.store, limit=limit)


def claim_wake_up(client: Client, id: str, by: str) -> bool:
    """Whether the caller is the one to start a worker for this suspension of the execution.

    Raises:
        StoreError.
    """
    return waking.claim_wake_up(client.store, id, by)


def note_scheduler(client: Client, id: str, launcher: str, home: str) -> None:
    """Write down which scheduler works on the execution, and where: whoever answers a question of it can wake it there.

    Args:
        launcher: the name under which it is announced (``holdfast.launchers``).
        home: its folder on this machine.

    Raises:
        StoreError.
    """
    body = {"what": "scheduler", "launcher": launcher, "home": home, "host": process.host()}
    with contextlib.suppress(OnceTaken):
        client.store.append(id, (Draft(kind=Kind.NOTE, body=body, actor=launcher, once=f"scheduler:{launcher}:{home}"),), fence=None)


def wake_scheduler(client: Client, id: str) -> bool:
    """Tell the scheduler of a suspended execution at once that it may go on, in a process of its own that is not waited for.

    Returns:
        whether there is a scheduler to tell; without one, somebody resumes the execution.

    Raises:
        StoreError.
    """
    header = client.get(id)
    notes = [e.data for e in client.store.read(header.id, kinds=(Kind.NOTE,)) if e.data.get("what") == "scheduler"]
    if not notes or header.status != Status.SUSPENDED or notes[-1].get("host") != process.host() or not Path(notes[-1]["home"]).is_dir():
        return False
    plugin = next((p for p in plugins.find("holdfast.launchers") if p.name == notes[-1].get("launcher")), None)
    if plugin is None:
        return False
    # it may take seconds to import what it needs, and the worker that it starts outlives it
    subprocess.Popen(
        [sys.executable, "-m", f"{plugin.target.partition('.')[0]}.wake", str(notes[-1]["home"])],
        env=client.config.process_environment(),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return True

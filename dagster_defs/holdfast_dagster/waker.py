"""Continues at once what is due: looks into the journal several times a second, where the sensor looks every few seconds."""

from __future__ import annotations

import select
import socket
import traceback
from pathlib import Path

import dagster as dg

from holdfast.client import Client
from holdfast.client.tending import Tender
from holdfast_dagster.children import adopt_children
from holdfast_dagster.eventing import start_due
from holdfast_dagster.recovery import continue_failed, recover_runs
from holdfast_dagster.resuming import resume_due, settle_cancelled, settle_ended
from holdfast_dagster.storing import complain, outlast_locks

#: Seconds between two looks for what is due; one in ``_RARELY`` also looks for lost workers.
_LOOK = 0.2
_RARELY = 10
_TURN = 1.0  # a thousand events at once must not keep an answer waiting
_AFTER_TROUBLE = 5.0
_OVERLAP = 5.0


def wake_until_alone(home: Path, parent: socket.socket) -> None:
    """Look until the other end of ``parent`` closes. Trouble (a locked journal, a broken instance) is told and outlasted."""
    outlast_locks()
    while not _closed(parent, 0):
        try:
            with dg.DagsterInstance.from_config(str(home)) as instance, Client.open() as client:
                _look(instance, client, parent)
                return
        except Exception:
            complain(traceback.format_exc())
        _closed(parent, _AFTER_TROUBLE)


def _look(instance: dg.DagsterInstance, client: Client, parent: socket.socket) -> None:
    tender = Tender(client)
    looks, foreign, seen, page = 0, dict[str, float](), client.store.now(), None
    while not _closed(parent, _LOOK):
        looks += 1
        resume_due(instance, client, by="waker", foreign=foreign, within=_TURN)
        start_due(instance, client, tender, by="waker", within=_TURN)
        if looks % _RARELY == 0:
            before, seen = seen, client.store.now()
            settle_cancelled(instance, client, before - _OVERLAP)
            page = settle_ended(instance, client, page)
            recover_runs(instance, client)
            continue_failed(instance, client, before - _OVERLAP)
            adopt_children(instance, client, by="waker")


def _closed(parent: socket.socket, seconds: float) -> bool:
    readable, _, _ = select.select([parent], [], [], seconds)
    return bool(readable)

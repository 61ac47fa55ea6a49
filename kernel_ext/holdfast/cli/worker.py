"""``worker`` and ``signal``: executions that go on by themselves, and what they wait for."""

from __future__ import annotations

import json
import signal as signals
import sys
import threading
from typing import Any

import click

from holdfast.cli.desk import Desk, bad_input, command

#: Seconds in which Dagster begins what a rule started: its waker needs less than one, its sensor some.
_COURTESY = 30.0


@click.command()
@click.option("--once", is_flag=True, help="Work on what is due now, then end.")
@click.option(
    "--concurrency", type=click.IntRange(1, 256), help="How many executions at a time; by default the setting worker_concurrency."
)
@click.option("--idle", type=click.FloatRange(0), metavar="SECONDS", help="End when nothing was worked on for so long.")
@click.option("--attached", is_flag=True, help="When standard input ends, begin nothing more, and end when what runs has ended.")
@click.option("--beside-dagster", is_flag=True, help="Dagster begins what rules start; it is left to it for half a minute.")
@command
def worker(desk: Desk, once: bool, concurrency: int | None, idle: float | None, attached: bool, beside_dagster: bool) -> None:
    """Continue executions whose answer, timer, signal or child is there, start queued ones and those that rules want for events, recover
    those whose worker is gone, tell sinks what happens, and carry questions to people.

    Any number of workers may run. SIGTERM and Ctrl-C let go of what runs, for the next worker to take over. Executions that Dagster
    drives are left to it; it is told when it does not notice.
    """
    from holdfast.channels.dispatcher import Dispatcher
    from holdfast.client.tending import Tender
    from holdfast.engine.service import Service
    from holdfast.errors import HoldfastError, StoreError

    lock = threading.Lock()

    def tell(id: str, what: str, details: Any) -> None:
        text = {
            "begun": lambda: f"{id}  {details.runbook}: begun ({details.status} before)",
            "left": lambda: f"{id}  {details.status}" + (f": {details.reason}" if details.reason else ""),
            "taken": lambda: f"{id}  another worker has it",
            "told": lambda: f"{id}  {details.launcher} drives it and was told to continue it ({details.home})",
            "refused": lambda: f"{id}  cannot be worked on, tried again later: {details}",
            "journal": lambda: f"the journal cannot be reached, trying on: {details}",
        }[what]()
        with lock:
            desk.note(text)

    store = desk.store(create=True)
    tender = Tender(desk.client())
    dispatcher = Dispatcher(store, desk.config)

    def beside(patience: float = 0.05) -> None:
        try:
            dispatcher.look(patience=patience)
            tender.look(patience=patience)
        except StoreError:
            raise
        except HoldfastError as error:
            with lock:
                desk.note(f"events and channels: {error}")

    concurrency = concurrency or desk.config.worker_concurrency
    courtesy = _COURTESY if beside_dagster else 0.0
    service = Service(store, desk.config, concurrency=concurrency, warm=not once, tell=tell, beside=beside, courtesy=courtesy)
    for number in (signals.SIGTERM, signals.SIGINT, signals.SIGHUP):
        signals.signal(number, lambda number, frame: service.stop(f"the worker was told to end ({signals.Signals(number).name})"))
    if not once:
        desk.note(f"working on {desk.config.journal_for_people}, {concurrency} at a time")

    def attend() -> None:
        sys.stdin.read()
        service.finish()

    if attached:
        threading.Thread(target=attend, name="attached", daemon=True).start()
    service.run(once=once, idle=float("inf") if idle is None else idle)
    if once:
        beside(30.0)


@click.command()
@click.argument("id")
@click.argument("name")
@click.option("--value", metavar="JSON", help="The payload.")
@click.option("--key", help="Idempotency key: the same key sends the signal once, however often it is asked for.")
@command
def signal(desk: Desk, id: str, name: str, value: str | None, key: str | None) -> None:
    """Send the signal NAME to the execution ID. It is kept until the execution takes it."""
    payload: Any = None
    if value is not None:
        try:
            payload = json.loads(value)
        except json.JSONDecodeError as error:
            raise bad_input(
                f"--value is not JSON: {error.msg} at character {error.pos}", "Quote it for the shell: --value '{\"status\": 0}'"
            ) from None
    from holdfast.client.waking import wake_scheduler

    client = desk.client()
    entry = client.signal(id, name, payload, key=key, via="cli")
    wake_scheduler(client, entry.execution)
    if desk.as_json:
        desk.document({"execution": entry.execution, "signal": name, "seq": entry.seq, "at": entry.at})
        return
    desk.out.print(f"sent  {name} to {entry.execution}")

"""``shell``: a terminal on the Holdfast kernel. Every session is an execution: recorded, resumable, shown and exported like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.desk import Desk, command

if TYPE_CHECKING:
    from holdfast.model.execution import Execution


@click.command()
@click.option("--resume", "id", metavar="ID", help="Go on with the session ID: its variables are there again.")
@click.option("--name", default="shell", show_default=True, help="What lists call the session.")
@click.option("--simple-prompt", is_flag=True, help="A plain prompt without colours and line editing.")
@command
def shell(desk: Desk, id: str | None, name: str, simple_prompt: bool) -> None:
    """Open an IPython shell whose session is an execution: what it does is recorded, and it can be resumed and audited."""
    from holdfast.cli.console import run_console
    from holdfast.executions.find import find
    from holdfast.journal.ownership import gone, held

    store = desk.store(create=id is None)
    if id is None:
        execution = _begin(desk, name)
    else:
        execution = find(store, id)
        _require_shell(execution)
        if execution.owner and execution.lease_until and execution.lease_until > store.now() and not gone(execution.owner):
            raise held(execution.id, execution.owner, execution.lease_until)
    typed = _typed_so_far(desk, execution.id)
    desk.note(f"execution {execution.id}" + (f", {typed} cells so far" if typed else ""))
    try:
        run_console(desk.config, execution.id, typed, simple_prompt=simple_prompt)
    finally:
        _close(desk, execution.id)
    desk.say(f"closed  {execution.id}")
    desk.say(f"  go on:  holdfast shell --resume {execution.id}")
    desk.say(f"  look:   holdfast show {execution.id} --calls --entries")


def _begin(desk: Desk, name: str) -> Execution:
    from holdfast.foundation import clock
    from holdfast.model.entry import Draft, Kind
    from holdfast.model.execution import Execution, Mode, Status, new_id

    at = clock.now()
    execution = Execution(
        id=new_id(at),
        runbook=name,
        mode=Mode.SHELL,
        status=Status.QUEUED,
        created_at=at,
        updated_at=at,
        started_by=desk.config.user,
        parent=desk.config.execution,
    )
    body = {"runbook": name, "mode": str(Mode.SHELL), "via": "shell", "started_by": desk.config.user}
    return desk.store().create(execution, [Draft(kind=Kind.EXECUTION_CREATED, body=body, actor=desk.config.user)])


def _require_shell(execution: Execution) -> None:
    from holdfast.errors import OperatorError
    from holdfast.model.execution import Mode, Status

    if execution.mode != Mode.SHELL:
        raise OperatorError(
            "HF253", "this execution is no shell session", cure=f"Continue it with: holdfast resume {execution.id}", execution=execution.id
        )
    if execution.status in (Status.SUCCEEDED, Status.CANCELLED):
        raise OperatorError("HF253", f"the session has {execution.status}", cure="Open a new one: holdfast shell", execution=execution.id)


def _typed_so_far(desk: Desk, id: str) -> int:
    """How many cells the session has seen: the next one gets the next number, so that the same text typed again is another cell."""
    from holdfast.model.entry import Kind

    entries = desk.store().read(id, kinds=(Kind.CELL_COMPLETED, Kind.STEP_FAILED, Kind.CALL_INTENT, Kind.CALL_OUTCOME))
    numbers = [int(e.step[2:]) for e in entries if e.step and e.step.startswith("in") and e.step[2:].isdigit()]
    return max(numbers, default=0)


def _close(desk: Desk, id: str) -> None:
    """Say that nobody is at it any more."""
    from holdfast.model.entry import Draft, Kind
    from holdfast.model.execution import Change, Status

    store = desk.store()
    header = store.header(id)
    if header is None or header.status.ended or header.owner is not None:
        return
    reason = "the shell was closed"
    draft = Draft(kind=Kind.EXECUTION_SUSPENDED, body={"reason": reason}, actor=desk.config.user)
    store.append(id, [draft], fence=None, change=Change(status=Status.SUSPENDED, reason=reason))

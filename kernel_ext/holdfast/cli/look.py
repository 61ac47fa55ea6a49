"""``list``, ``show``, ``prompts``: what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import Desk, command, escape

if TYPE_CHECKING:
    from holdfast.executions.history import CallHistory, History, StepHistory

_STATUSES = ("queued", "running", "suspended", "paused", "succeeded", "failed", "cancelled")


@click.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only these; may be given several times.")
@click.option("--runbook", help="Only executions of this runbook (the notebook's name).")
@click.option("--limit", "-n", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@command
def list_executions(desk: Desk, statuses: tuple[str, ...], runbook: str | None, limit: int) -> None:
    """List executions, the newest first."""
    from holdfast.cli.documents import execution_document
    from holdfast.model.execution import Status

    if not _journal_is_there(desk):
        return
    found = desk.client().list(statuses=[Status(s) for s in statuses] or None, runbook=runbook, limit=limit)
    if desk.as_json:
        desk.document([execution_document(h) for h in found])
        return
    from rich.table import Table

    from holdfast.cli.texts import coloured, when
    from holdfast.journal.ownership import unattended

    if not found:
        desk.say("no executions")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "runbook", "status", "started", "by", "reason"):
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "status", "started"))
    store = desk.store()
    now = store.now()
    for header in found:
        alone = header.status == "running" and unattended(header, now, store.step_leases(header.id))
        reason = f"its worker is gone: holdfast resume {header.id}" if alone and header.mode == "batch" else header.reason
        table.add_row(
            header.id,
            escape(header.runbook),
            coloured(header.status),
            when(header.created_at),
            escape(header.started_by),
            escape(reason),
        )
    desk.out.print(table)


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also those that ended.")
@click.option("--execution", metavar="ID", help="Only this execution's.")
@command
def prompts(desk: Desk, everything: bool, execution: str | None) -> None:
    """List the questions that wait for a person: what each is about, who may answer, until when, and with what."""
    from holdfast.cli.documents import prompt_document
    from holdfast.cli.texts import ago, prompt_lines

    if not _journal_is_there(desk):
        return
    found = desk.client().prompts(state=None if everything else "open", execution=execution)
    if desk.as_json:
        desk.document([prompt_document(p) for p in found])
        return
    if not found:
        desk.say("no open prompts" if not everything else "no prompts")
    for prompt in found:
        state = "" if prompt.state == "open" else f"  {_ended(prompt)}"
        desk.out.print(
            f"[bold]{escape(prompt.id)}[/]  step {escape(prompt.step or '')}  {escape(prompt.kind)}  {ago(prompt.opened_at)}{escape(state)}"
        )
        for line in prompt_lines([prompt]):
            desk.out.print("  " + line)


def _ended(prompt: Any) -> str:
    by = f" by {prompt.answered_by}" if prompt.answered_by else ""
    return f"{prompt.state}{': ' + prompt.answer if prompt.answer else ''}{by}"


@click.command()
@click.argument("id")
@click.option("--calls", is_flag=True, help="Also every call that was made to the outside.")
@click.option("--entries", is_flag=True, help="Also the journal as a timeline.")
@command
def show(desk: Desk, id: str, calls: bool, entries: bool) -> None:
    """Show the execution ID (a unique beginning or end of the id will do): its state, steps, and calls."""
    from holdfast.cli.texts import coloured
    from holdfast.executions.handover import fold as handovers
    from holdfast.executions.handover import in_charge

    found = desk.client().history(id)
    open_prompts = desk.client().prompts(execution=found.execution.id)
    if desk.as_json:
        document = _show_document(found, open_prompts, calls, entries)
        children = desk.client().children(found.execution.id)
        document["children"] = [{"id": c.id, "runbook": c.runbook, "status": str(c.status)} for c in children]
        document["outputs"] = desk.client().outputs(found.execution.id)
        document["owner"] = in_charge(found.execution, handovers(found.entries))
        desk.document(document)
        return
    _print_header(desk, found, in_charge(found.execution, handovers(found.entries)))
    _print_steps(desk, found.steps)
    for child in desk.client().children(found.execution.id):
        desk.out.print(f"  started {escape(child.runbook)}  {escape(child.id)}  {coloured(child.status)}")
    if calls:
        _print_calls(desk, found.calls)
    if entries:
        from holdfast.cli.texts import when
        from holdfast.executions.timeline import timeline

        for moment in timeline(found.entries):
            desk.out.print(f"[dim]{moment.id:>5} {when(moment.at)}[/] {escape(moment.text)} [dim]{escape(moment.who)}[/]")
    if open_prompts:
        from holdfast.cli.texts import prompt_lines

        for line in prompt_lines(open_prompts):
            desk.out.print(line)


def _show_document(found: History, open_prompts: list[Any], calls: bool, entries: bool) -> dict[str, Any]:
    from holdfast.cli.documents import call_document, execution_document, moment_document, prompt_document, step_document
    from holdfast.executions.timeline import timeline

    document = execution_document(found.execution)
    ends = [e.data for e in found.entries if e.kind.startswith("execution.")]
    document["output"] = next((b["output"] for b in reversed(ends) if b.get("output")), None)
    document["steps"] = [step_document(s) for s in found.steps]
    document["prompts"] = [prompt_document(p) for p in open_prompts]
    if calls:
        document["calls"] = [call_document(c) for c in found.calls]
    if entries:
        document["entries"] = [moment_document(m) for m in timeline(found.entries)]
    return document


def _print_header(desk: Desk, found: History, owner: str) -> None:
    from holdfast.cli.texts import coloured, when

    header = found.execution
    title = found.manifest.title if found.manifest else header.runbook
    desk.out.print(f"[bold]{escape(title)}[/]  {escape(header.id)}  {coloured(header.status)}  {escape(header.reason)}")
    facts = {
        "notebook": header.path,
        "parameters": ", ".join(f"{k}={v!r}" for k, v in header.shown_parameters.items()),
        "started": f"{when(header.created_at)} by {header.started_by}",
        "owner": owner if owner != header.started_by else None,
        "forked from": header.forked_from,
        "parent": header.parent,
        "due": when(header.due_at),
        "worker": header.owner,
    }
    for name, fact in facts.items():
        if fact:
            desk.out.print(f"  [dim]{name}:[/] {escape(str(fact))}")


def _print_steps(desk: Desk, steps: list[StepHistory]) -> None:
    from rich.table import Table

    from holdfast.cli.texts import coloured, duration, when

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("step", "state", "started", "took", "attempts", "calls", ""):
        table.add_column(name, justify="right" if name in ("took", "attempts", "calls") else "left", overflow="fold")
    for step in steps:
        took = duration(step.ended_at - step.started_at) if step.ended_at and step.started_at and step.state != "skipped" else ""
        error = f"{step.error.get('code') or step.error.get('type')}: {step.error.get('what')}" if step.error else step.reason or ""
        state = "offered" if step.teardown_of and step.state == "pending" else step.state
        started = when(step.started_at) if step.state != "skipped" else ""
        table.add_row(
            escape(step.id),
            coloured(state),
            started,
            took,
            str(step.attempts or ""),
            str(step.calls or ""),
            escape(error.splitlines()[0] if error else ""),
        )
    desk.out.print(table)


def _print_calls(desk: Desk, calls: list[CallHistory]) -> None:
    from rich.table import Table

    from holdfast.cli.texts import coloured, duration

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("step", "call", "effect", "state", "attempt", "took"):
        table.add_column(name, overflow="fold")
    for call in calls:
        took = duration(call.ended_at - call.started_at) if call.ended_at and call.started_at else ""
        verdict = f" ({call.verdict.get('verdict')} by {call.verdict.get('who')})" if call.verdict else ""
        table.add_row(
            escape(call.step or ""),
            escape(f"{call.kind}: {call.operation}"),
            call.effect,
            coloured(call.state) + escape(verdict),
            str(call.attempts),
            took,
        )
    desk.out.print(table)


def _journal_is_there(desk: Desk) -> bool:
    """A folder in which nothing was ever run has no journal: that is an empty list, not an error."""
    path = desk.config.journal_path
    if path is None or path.exists():
        return True
    if desk.as_json:
        desk.document([])
    else:
        desk.say(f"nothing yet: there is no journal at {path}")
    return False

"""``holdfast events``: what came, and what became of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import Desk, bad_input, command, escape
from holdfast.cli.rules import read_events

if TYPE_CHECKING:
    from holdfast.events.inbox import Accepted
    from holdfast.journal.store import Store
    from holdfast.model.stream import Line


@click.group()
def events() -> None:
    """Events: what came in, and what became of it."""


@events.command("list")
@click.option("--type", "kind", metavar="TYPE", help="Only of this type.")
@click.option("--limit", "-n", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@command
def list_events(desk: Desk, kind: str | None, limit: int) -> None:
    """List the events in the inbox, the newest first."""
    from holdfast.events import inbox

    found = inbox.list_events(desk.store(), type=kind, limit=limit)
    if desk.as_json:
        desk.document([_document(one) for one in found])
        return
    from rich.table import Table

    from holdfast.cli.texts import when

    if not found:
        desk.say("no events")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("no", "came", "type", "subject", "source", "id", "via"):
        table.add_column(name, overflow="fold", no_wrap=name in ("no", "came"))
    for one in found:
        e = one.event
        table.add_row(str(one.seq), when(one.at), escape(e.type), escape(e.subject or ""), escape(e.source), escape(e.id), escape(one.via))
    desk.out.print(table)


@events.command()
@click.argument("which", metavar="EVENT")
@command
def show(desk: Desk, which: str) -> None:
    """Show EVENT (its number in the inbox, or its id) and what the rules made of it."""
    from holdfast.events.decisions import decisions_about
    from holdfast.events.inbox import find_event

    store = desk.store()
    found = find_event(store, which)
    decided = [_decision(store, line) for line in decisions_about(store, found.seq)]
    if desk.as_json:
        desk.document({**_document(found), "decisions": decided})
        return
    desk.out.print(escape(json.dumps(_document(found)["event"], ensure_ascii=False, indent=2)))
    for said in decided:
        what = f"{said['what']} {said['execution'] or ''}".strip() + (f" ({said['status']})" if said["status"] else "")
        desk.out.print(f"{escape(said['rule'] or '')}: {escape(what)}" + (f" — {escape(said['why'])}" if said["why"] else ""))
    if not decided:
        desk.say("no rule has made anything of it")


@events.command()
@click.argument("event", type=click.Path(allow_dash=True, path_type=Path))
@click.option("--source", help="The file is what this source sends, not a CloudEvent.")
@command
def send(desk: Desk, event: Path, source: str | None) -> None:
    """Put the CloudEvent in the file EVENT (`-`: stdin; a list sends several) into the inbox. One that is there already is not
    sent again."""
    from holdfast.events.cloudevents import from_json
    from holdfast.events.inbox import accept

    if str(event) == "-":
        try:
            content = json.load(sys.stdin)
        except ValueError:
            raise bad_input("stdin is not JSON", "Give a CloudEvent as JSON.") from None
        found = [from_json(one) for one in (content if isinstance(content, list) else [content])]
    elif event.is_file():
        found = read_events(desk, event, source)
    else:
        raise bad_input("there is no such file", "Give a file with a CloudEvent as JSON.", file=str(event))
    sent = accept(desk.store(create=True), found, via=desk.config.user)
    if desk.as_json:
        desk.document([_document(one) for one in sent])
        return
    for one in sent:
        desk.out.print(f"{one.seq}  {escape(one.event.type)}  {escape(one.event.id)}" + ("" if one.new else "  (was there already)"))


@events.command()
@command
def sinks(desk: Desk) -> None:
    """List the sinks that are told what happens, and how each stands."""
    from holdfast.cli.documents import time
    from holdfast.events.settings import EventsFile
    from holdfast.events.sinks import sink_state

    store = desk.store()
    told: list[dict[str, Any]] = []
    newest = store.streams.newest_change()
    for sink in EventsFile.load(desk.config).sinks.values():
        place, state = sink_state(store, sink.name)
        told.append(
            {
                "name": sink.name, "to": sink.url or str(sink.file), "enabled": sink.enabled, "behind": newest - place,
                "error": state.error, "attempts": state.attempts, "next_at": time(state.next_at),
            }
        )  # fmt: skip
    if desk.as_json:
        desk.document(told)
        return
    for one in told:
        state_now = f"failing ({one['attempts']} attempts): {one['error']}" if one["error"] else f"{one['behind']} changes behind"
        desk.out.print(f"{escape(one['name'])}  {escape(one['to'])}  {escape(state_now if one['enabled'] else 'disabled')}")
    if not told:
        desk.say("no sinks")


def _document(accepted: Accepted) -> dict[str, Any]:
    from holdfast.cli.documents import time
    from holdfast.events.cloudevents import to_json

    return {"no": accepted.seq, "at": time(accepted.at), "via": accepted.via, "new": accepted.new, "event": to_json(accepted.event)}


def _decision(store: Store, line: Line) -> dict[str, Any]:
    said = line.data
    execution = said.get("execution")
    header = store.header(execution) if execution else None
    why = said.get("why") or (said["error"]["what"] if "error" in said else None)
    status = str(header.status) if header is not None else None
    return {"rule": said.get("rule"), "what": line.kind, "execution": execution, "status": status, "why": why}

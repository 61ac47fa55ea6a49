"""``holdfast rules``: what starts which runbook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import Desk, bad_input, command, escape

if TYPE_CHECKING:
    from holdfast.events.rules import Rules
    from holdfast.model.event import Event


@click.group()
def rules() -> None:
    """Rules: which event starts which runbook, with which parameters."""


def _load(desk: Desk, folders: tuple[Path, ...]) -> Rules:
    from holdfast.events.rules import Rules

    return Rules.load(folders or desk.config.runbooks)


@rules.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, path_type=Path))
@command
def check(desk: Desk, folders: tuple[Path, ...]) -> None:
    """Look for what is wrong with the rules in FOLDERS (by default where the runbooks are): unknown keys and operators, broken
    templates, runbooks and parameters that are not there. Ends with 1 when there is something."""
    from holdfast.events.matching import check_runbook

    found = _load(desk, folders)
    troubles = [*found.troubles, *(t for t in (check_runbook(rule) for rule in found.rules) if t is not None)]
    if desk.as_json:
        desk.document({"rules": [rule.id for rule in found.rules], "troubles": [t.to_dict() for t in troubles]})
    for trouble in troubles if not desk.as_json else ():
        desk.out.print(f"[red]✗[/] {escape(str(trouble))}")
    if not desk.as_json and not troubles:
        desk.out.print(f"{len(found.rules)} rules, nothing to complain about")
    if troubles:
        raise SystemExit(1)


@rules.command("list")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, path_type=Path))
@command
def list_rules(desk: Desk, folders: tuple[Path, ...]) -> None:
    """List the rules in FOLDERS (by default where the runbooks are)."""
    found = _load(desk, folders)
    if desk.as_json:
        desk.document(
            [
                {
                    "id": r.id, "events": list(r.events), "source": r.source, "runbook": r.runbook, "path": str(r.path),
                    "enabled": r.enabled, "overlap": r.overlap, "resolved": r.resolved.then, "description": r.description, "file": r.file,
                }
                for r in found.rules
            ]
        )  # fmt: skip
        return
    from rich.table import Table

    for trouble in found.troubles:
        desk.say(f"cannot be used: {trouble}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("rule", "event", "runbook", "overlap", "resolved", "description"):
        table.add_column(name, overflow="fold", no_wrap=name == "rule")
    for r in found.rules:
        off = "" if r.enabled else " (disabled)"
        cells = (r.id + off, ", ".join(r.events), r.runbook, r.overlap, r.resolved.then, r.description)
        table.add_row(*(escape(cell) for cell in cells))
    desk.out.print(table)


@rules.command()
@click.argument("event", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("folders", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--source", help="The file is what this source sends, not a CloudEvent.")
@click.option("--all", "everything", is_flag=True, help="Also rules that do not match, with the reason.")
@command
def test(desk: Desk, event: Path, folders: tuple[Path, ...], source: str | None, everything: bool) -> None:
    """Try the rules in FOLDERS on the event in the file EVENT: which match, what they would start. Nothing is started or written."""
    from holdfast.errors import HoldfastError
    from holdfast.events.matching import match

    told: list[dict[str, Any]] = []
    for number, one in enumerate(read_events(desk, event, source), 1):
        for rule in _load(desk, folders).rules:
            said: dict[str, Any] = {"rule": rule.id, "event": one.id, "number": number, "enabled": rule.enabled}
            try:
                found = match(rule, one)
            except HoldfastError as error:
                told.append({**said, "matched": False, "error": error.to_dict()})
                continue
            if found.matched or everything:
                would = {"runbook": str(rule.path), "key": found.key, "parameters": dict(found.parameters), "over": found.over}
                told.append({**said, "matched": found.matched, "why": found.why or None, **(would if found.matched else {})})
    if desk.as_json:
        desk.document(told)
        return
    for said in told:
        if "error" in said:
            desk.out.print(f"[red]✗[/] {escape(said['rule'])}  {escape(said['error']['what'])}")
        elif not said["matched"]:
            desk.out.print(f"  {escape(said['rule'])}  {escape(said['why'])}")
        elif said["over"]:
            desk.out.print(f"[green]✓[/] {escape(said['rule'])}  says that {escape(said['key'])} is over")
        else:
            given, book = json.dumps(said["parameters"], ensure_ascii=False), Path(said["runbook"]).stem
            desk.out.print(f"[green]✓[/] {escape(said['rule'])}  starts {escape(book)} {escape(given)}  key {escape(said['key'])}")
    if not any(said["matched"] for said in told):
        desk.say("no rule matches" + ("" if everything else "; --all says why"))


def read_events(desk: Desk, file: Path, source: str | None) -> list[Event]:
    """The events in a file: a CloudEvent, a list of them, or the body of a source's webhook."""
    from holdfast.events.cloudevents import from_json
    from holdfast.events.settings import EventsFile

    raw = file.read_bytes()
    if source is not None:
        given = EventsFile.load(desk.config).source(source)
        return given.source.read(source, {"content-type": "application/json"}, raw, given.trust)
    try:
        content = json.loads(raw)
    except ValueError:
        raise bad_input("the file is not JSON", "Give a CloudEvent as JSON, or --source.", file=str(file)) from None
    return [from_json(one) for one in (content if isinstance(content, list) else [content])]

"""``handover`` and ``report``: an execution told for whoever takes it over, and for whoever looks back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli.desk import Desk, bad_input, command

if TYPE_CHECKING:
    from holdfast.executions.handover import How
    from holdfast.model.execution import Execution
    from holdfast.model.handover import Handover


@click.command()
@click.argument("id", required=False)
@click.option("--to", multiple=True, metavar="WHO", help="Offer it to a person, to group:NAME, or to everyone; may be given several times.")
@click.option("--note", default="", help="What the receiver should know beside what is recorded.")
@click.option("--accept", "how", flag_value="accept", help="Take over what is offered to you.")
@click.option("--decline", "how", flag_value="decline", help="Say no to it.")
@click.option("--withdraw", "how", flag_value="withdraw", help="Take your offer back.")
@click.option("--why", help="The reason, for the record.")
@command
def handover(desk: Desk, id: str | None, to: tuple[str, ...], note: str, how: How | None, why: str | None) -> None:
    """Hand the execution ID over. Without an option: whose it is, where it stands, what was tried, what is open, what to do next. Without
    ID: what is offered."""
    from holdfast.client import handing

    if id is None:
        if to or how:
            raise bad_input("no execution is named", "Give its id: holdfast handover ID ...")
        _offers(desk)
        return
    if (to and how) or (note and not to) or (why and not how):
        raise bad_input("these options do not go together", "--note goes with --to, --why with --accept, --decline, --withdraw.")
    header = desk.client().get(id)
    if to:
        _acted(desk, header, handing.offer(desk.store(), desk.config, header, to, note=note, via="cli"))
    elif how is not None:
        _acted(desk, header, handing.end(desk.store(), desk.config, header, how, why=why, via="cli"))
    else:
        _brief(desk, header)


def _offers(desk: Desk) -> None:
    from holdfast.client.telling import document
    from holdfast.executions.handover import offers

    found = offers(desk.store())
    if desk.as_json:
        desk.document([document(h) for h in found])
        return
    if not found:
        desk.say("nothing is offered")
    for one in found:
        desk.say(f"{one.execution}  {one.giver} offers it to {', '.join(one.to)}" + (f": {one.note}" if one.note else ""))
        desk.say(f"  take it over:  holdfast handover {one.execution} --accept")


def _acted(desk: Desk, header: Execution, done: Handover) -> None:
    from holdfast.client.telling import document

    if desk.as_json:
        desk.document(document(done))
        return
    desk.say(f"{done.state}  {header.id}")
    if done.state == "offered":
        desk.say(f"  {', '.join(done.to)} can take it over:  holdfast handover {header.id} --accept")
    elif done.state == "accepted":
        desk.say(f"  {done.ended_by} answers for it now; what to do:  holdfast handover {header.id}")


def _brief(desk: Desk, header: Execution) -> None:
    from holdfast.client.brief import brief, markdown
    from holdfast.client.telling import document

    found = brief(desk.store(), header, desk.client().prompts(state=None, execution=header.id))
    if desk.as_json:
        desk.document(document(found))
        return
    _print_markdown(desk, markdown(found))


@click.command()
@click.argument("id")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file; stdout when left out.")
@command
def report(desk: Desk, id: str, output: Path | None) -> None:
    """Report on the execution ID after the incident, as Markdown: who started it, who decided what and why, its effects, failures and
    durations."""
    from holdfast.cli.files import write_text
    from holdfast.client.report import markdown
    from holdfast.client.report import report as gather
    from holdfast.client.telling import document

    client = desk.client()
    header = client.get(id)
    found = gather(desk.store(), header, client.prompts(state=None, execution=header.id))
    if desk.as_json:
        desk.document(document(found))
        return
    if output is None:
        sys.stdout.write(markdown(found))
        return
    write_text(output, markdown(found))
    desk.say(f"{output}")


def _print_markdown(desk: Desk, text: str) -> None:
    """Rendered on a terminal, as it is elsewhere."""
    if not sys.stdout.isatty():
        sys.stdout.write(text)
        return
    from rich.markdown import Markdown

    desk.out.print(Markdown(text))

"""``effects``: what an execution changed: what, how it looked before and after, on whose word."""

from __future__ import annotations

import click

from holdfast.cli.desk import Desk, command


@click.command()
@click.argument("id")
@command
def effects(desk: Desk, id: str) -> None:
    """List what the execution ID changed: the target of each change, how it looked before and after, who made it, who approved it, why; and
    what guardrails refused."""
    from holdfast.client.effects import deeds, deeds_table
    from holdfast.client.telling import document

    found = deeds(desk.client().history(id))
    if desk.as_json:
        desk.document([document(d) for d in found])
        return
    if not found:
        desk.say("it has changed nothing")
        return
    desk.table(*deeds_table(found), always=("step", "effect", "outcome"))

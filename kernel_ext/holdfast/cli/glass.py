"""``break-glass``: set guardrails aside for one execution."""

from __future__ import annotations

import click

from holdfast.cli.desk import Desk, command, escape
from holdfast.model.guardrail import BREAKABLE


@click.command("break-glass")
@click.argument("id")
@click.option("--why", required=True, help="The reason; it is kept, audited and shown with every change made on the strength of it.")
@click.option(
    "--guardrail",
    "guardrails",
    multiple=True,
    type=click.Choice([str(g) for g in BREAKABLE]),
    help="Only this one; may be given several times. By default all.",
)
@click.option("--for", "length", metavar="TIME", help='How long: seconds, or "30 min"; an hour by default, a day at most.')
@command
def break_glass(desk: Desk, id: str, why: str, guardrails: tuple[str, ...], length: str | None) -> None:
    """Set guardrails aside for the execution ID for a while: caps, breaker, cool-down, freeze, approval, age of targets."""
    from holdfast.cli.documents import time
    from holdfast.cli.texts import when
    from holdfast.client.glass import break_glass as broken

    glass = broken(desk.client(), id, why=why, guardrails=guardrails, length=length, via="cli", how="login")
    execution = desk.client().get(id).id
    if desk.as_json:
        desk.document(
            {"execution": execution, "guardrails": list(glass.guardrails), "until": time(glass.until), "who": glass.who, "why": glass.why}
        )
        return
    desk.out.print(f"set aside for {escape(execution)} until {when(glass.until)}: {', '.join(glass.guardrails)}")
    desk.say(f"  then:  holdfast resume {execution}")

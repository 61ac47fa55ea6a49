"""``cancel``, ``pause``, ``answer``: what a person asks of an execution from outside."""

from __future__ import annotations

import json
from typing import Any

import click

from holdfast.cli.desk import Desk, bad_input, command


@click.command()
@click.argument("id")
@click.option("--why", default="", help="The reason, for the record.")
@click.option("--finish", is_flag=True, help="Let the steps that run come to their end first.")
@command
def cancel(desk: Desk, id: str, why: str, finish: bool) -> None:
    """End the execution ID and what it has started. A running cell is interrupted; steps tagged "always" still run."""
    _ask(desk, id, "cancel", why, finish)


@click.command()
@click.argument("id")
@click.option("--why", default="", help="The reason, for the record.")
@command
def pause(desk: Desk, id: str, why: str) -> None:
    """Hold the execution ID after the cell that runs, until somebody resumes it."""
    _ask(desk, id, "pause", why)


def _ask(desk: Desk, id: str, what: str, why: str, finish: bool = False) -> None:
    from holdfast.cli.documents import execution_document
    from holdfast.cli.texts import coloured

    client = desk.client()
    header = client.pause(id, why=why) if what == "pause" else client.cancel(id, why=why, finish=finish)
    if desk.as_json:
        desk.document(execution_document(header))
        return
    if header.status in ("paused", "cancelled"):
        desk.out.print(f"{coloured(header.status)}  {header.id}")
    else:
        desk.out.print(
            f"{what} asked of {header.id}; its worker stops "
            + ("after the running cell" if what == "pause" else "after the running step" if finish else "the running cell")
        )
    if header.status == "paused":
        desk.say(f"  go on:  holdfast resume {header.id}")


@click.command()
@click.argument("prompt")
@click.argument("verdict", required=False)
@click.option("--value", metavar="JSON", help="What a form asks for; with the verdict `happened`: the call's result.")
@click.option("--why", help="The reason, for the record.")
@click.option("--typed", metavar="NAME", help="The name that a destructive question wants typed.")
@command
def answer(desk: Desk, prompt: str, verdict: str | None, value: str | None, why: str | None, typed: str | None) -> None:
    """Answer PROMPT with VERDICT (yes, no, an option: those that `holdfast prompts` shows for it) or with --value. The first answer
    stands."""
    from holdfast.cli.documents import prompt_document
    from holdfast.cli.texts import coloured

    if verdict is None and value is None:
        raise bad_input("neither a verdict nor a value is given", "`holdfast prompts` shows what may be answered.")
    parsed: Any = None
    if value is not None:
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError as error:
            raise bad_input(
                f"--value is not JSON: {error.msg} at character {error.pos}", "Quote it for the shell: --value '{\"status\": 0}'"
            ) from None
    from holdfast.client.waking import wake_scheduler

    answered = desk.client().answer(prompt, verdict, value=parsed, why=why, typed=typed, via="cli")
    woken = answered.state != "open" and wake_scheduler(desk.client(), answered.execution)
    if desk.as_json:
        desk.document(prompt_document(answered))
        return
    if answered.state == "open":
        desk.out.print(f"{coloured('counted')}  {answered.id}: {answered.needed} more must consent")
        return
    desk.out.print(f"{coloured('answered')}  {answered.id}: {answered.answer}")
    left = desk.client().prompts(execution=answered.execution)
    then = "it goes on in its scheduler" if woken else f"then:  holdfast resume {answered.execution}"
    desk.say(f"  still open: {', '.join(p.id for p in left)}" if left else f"  {then}")

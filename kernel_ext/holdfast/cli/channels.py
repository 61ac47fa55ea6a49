"""``holdfast channels``: how questions reach people, and whether they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import Desk, command

if TYPE_CHECKING:
    from holdfast.channels.settings import Channels


@click.group()
def channels() -> None:
    """Channels: how questions reach people (Slack, e-mail, webhooks)."""


def load(desk: Desk) -> Channels:
    """The configured channels. Raises ``OperatorError`` HF210, HF213, HF290."""
    from holdfast.channels.settings import Channels

    return Channels.load(desk.config, desk.store(create=True).key)


@channels.command("list")
@click.option("--prompt", metavar="ID", help="Only what was sent about this prompt (its whole id).")
@click.option("--limit", "-n", type=click.IntRange(1), default=50, show_default=True, help="The newest so many lines of each channel.")
@command
def list_channels(desk: Desk, prompt: str | None, limit: int) -> None:
    """List the channels, how they stand, and what they carried or could not carry."""
    from holdfast.channels.dispatcher import state_of
    from holdfast.channels.outbox import deliveries

    found, store = load(desk), desk.store()
    said = []
    for name in found.by_name:
        state = state_of(store, name)
        carried = deliveries(store, name, prompt=prompt, limit=limit)
        said.append((name, state, carried))
    if desk.as_json:
        desk.document([_document(name, name in found.default, state, carried) for name, state, carried in said])
        return
    from holdfast.cli.texts import when

    for name, state, carried in said:
        default = "  (carries questions that name no channel)" if name in found.default else ""
        trouble = f"  {state.failures} tries in vain, the last: {state.error}" if state.failures else ""
        desk.say(f"{name}{default}  {len(state.waiting)} waiting{trouble}")
        for one in carried:
            to = f" to {one.person or one.place}" if one.person or one.place else ""
            desk.say(f"  {when(one.at)}  {one.state:<8} {one.what} {one.prompt}{to}" + (f": {one.why}" if one.why else ""))
    if not said:
        desk.say("no channels: describe them in channels.toml (setting channels_file)")


def _document(name: str, default: bool, state: Any, carried: Any) -> dict[str, Any]:
    from holdfast.cli.documents import time

    lines = [{**{field: getattr(one, field) for field in one.__struct_fields__}, "at": time(one.at)} for one in carried]
    return {
        "name": name, "default": default, "waiting": len(state.waiting), "failures": state.failures, "error": state.error,
        "deliveries": lines,
    }  # fmt: skip


@channels.command("test")
@click.argument("name")
@command
def test_channel(desk: Desk, name: str) -> None:
    """Ask the far side of the channel NAME whether it is there and lets us in. Nobody gets a message."""
    from holdfast.channels.channel import Refused, TryLater
    from holdfast.errors import OperatorError

    channel = load(desk).get(name)
    try:
        said = channel.probe()
    except (Refused, TryLater) as error:
        cure = "Look at its table in the channels file, and at the network."
        raise OperatorError("HF291", f"the channel {name} does not work: {error}", cure=cure, channel=name) from None
    if desk.as_json:
        desk.document({"name": name, "said": said})
    else:
        desk.say(f"{name}: {said}")

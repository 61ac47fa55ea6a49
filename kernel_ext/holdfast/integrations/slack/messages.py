"""Messages to people."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.integrations.slack.connecting import connect


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was posted: where, and its time stamp, which is its id there."""

    channel: str
    ts: str


def post(channel: str, text: str, *, blocks: list[dict[str, Any]] | None = None, under: Said | None = None, client: Any = None) -> Said:
    """Post a message, once.

    Args:
        channel: ``#name``, a channel's id, or a user's id for a direct message.
        text: also what notifications show when there are ``blocks``.
        under: the message to whose thread it belongs.
    Raises:
        slack_sdk.errors.SlackApiError: Slack refuses.
    """
    thread = {"thread_ts": under.ts} if under is not None else {}
    answer = (client or connect()).chat_postMessage(channel=channel, text=text, **({"blocks": blocks} if blocks else {}), **thread)
    return Said(channel=str(answer.get("channel") or channel), ts=str(answer.get("ts") or ""))


def update(said: Said, text: str, *, blocks: list[dict[str, Any]] | None = None, client: Any = None) -> None:
    """Replace what a message says."""
    (client or connect()).chat_update(channel=said.channel, ts=said.ts, text=text, **({"blocks": blocks} if blocks else {}))


def react(said: Said, emoji: str, *, client: Any = None) -> None:
    """Put an emoji (``white_check_mark``) under a message."""
    (client or connect()).reactions_add(channel=said.channel, timestamp=said.ts, name=emoji.strip(":"))


def find_user(email: str, *, client: Any = None) -> str:
    """The id of the person with that address; :func:`post` takes it for a direct message."""
    return str((client or connect()).users_lookupByEmail(email=email)["user"]["id"])

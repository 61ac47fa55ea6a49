"""One-line commands: ``answer = !slack ask --channel ops --message msg --options disable,reset --timeout 15m``."""

from __future__ import annotations

from typing import Any

from holdfast.durable import line_verbs
from holdfast.integrations.slack import messages
from holdfast.integrations.slack.messages import Said
from holdfast.model.oneliner import family


def ask(
    message: str,
    *,
    options: list[str] | None = None,
    channel: str | None = None,
    name: list[str] | None = None,
    timeout: str | float | None = None,
    on_timeout: str = "fail",
    retry_interval: str | float | None = None,
    escalate_to: list[str] | None = None,
    escalate_after: str | float | None = None,
    why: bool = False,
) -> Any:
    """Ask people in Slack; returns the chosen option, or the text.

    Args:
        channel: a group that has a channel of its own in ``channels.toml``.
        name: people or groups, ``@alice``.
        retry_interval: how often they are reminded.
    """
    __tracebackhide__ = True
    to = [one.lstrip("@#") for one in [*([channel] if channel else []), *(name or [])]]
    return line_verbs.ask(
        message,
        options=options,
        to=to or None,
        via=["slack"],
        timeout=timeout,
        on_timeout=on_timeout,
        remind_every=retry_interval,
        escalate_to=escalate_to,
        escalate_after=escalate_after,
        why=why,
    )


def send_message(message: str, *, name: str | None = None, channel: str | None = None, under: Any = None, client: Any = None) -> Said:
    """Post a message, once; ``--name '#general'`` or ``--channel``."""
    place = channel or name
    if place is None:
        raise ValueError("slack send-message needs --channel or --name")
    return messages.post(place, message, under=under, client=client)


SLACK = family(
    "Slack: questions and messages",
    reads={"ask": ask, "find-user": messages.find_user},
    writes={"send-message": send_message, "update": messages.update, "react": messages.react},
)

"""A client, its token by reference."""

from __future__ import annotations

from typing import Any

from holdfast.durable.references import secret


def connect(token: str = "env:SLACK_BOT_TOKEN", *, base_url: str | None = None, timeout: int = 30) -> Any:
    """A ``slack_sdk.WebClient``. Make it in a cell tagged ``setup``. Refusals for the rate are waited out by the recorded call itself.

    Args:
        token: a reference to the bot's token.
        base_url: of another Slack (GovSlack, a stand-in).
        timeout: seconds per request.
    Raises:
        OperatorError: HF219 the reference leads nowhere.
    """
    from slack_sdk import WebClient

    found = secret(token)
    return WebClient(token=found, timeout=timeout) if base_url is None else WebClient(token=found, base_url=base_url, timeout=timeout)

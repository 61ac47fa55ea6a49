"""Clients, their keys by reference."""

from __future__ import annotations

from typing import Any

from holdfast.durable.references import secret


def connect(api_key: str = "env:PAGERDUTY_API_KEY", *, default_from: str | None = None, base_url: str | None = None) -> Any:
    """A ``pagerduty.RestApiV2Client``. Make it in a cell tagged ``setup``.

    Args:
        api_key: a reference to the key.
        default_from: the e-mail address of the user in whose name changes are made.
        base_url: of another PagerDuty (the EU's ``https://api.eu.pagerduty.com``).
    Raises:
        OperatorError: HF219 the reference leads nowhere.
    """
    import pagerduty

    return pagerduty.RestApiV2Client(secret(api_key), default_from=default_from, base_url=base_url)


def connect_events(routing_key: str = "env:PAGERDUTY_ROUTING_KEY", *, base_url: str | None = None) -> Any:
    """A ``pagerduty.EventsApiV2Client``: ``trigger``, ``acknowledge``, ``resolve`` by dedup key. Arguments as for :func:`connect`."""
    import pagerduty

    return pagerduty.EventsApiV2Client(secret(routing_key), base_url=base_url)

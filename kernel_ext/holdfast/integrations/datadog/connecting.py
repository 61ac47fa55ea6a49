"""A client, its keys by reference."""

from __future__ import annotations

from typing import Any

from holdfast.durable.references import secret

# Of the incidents' API, which Datadog may still change.
_UNSTABLE = ("search_incidents", "list_incidents", "get_incident", "create_incident", "update_incident")


def connect(
    api_key: str = "env:DD_API_KEY",
    app_key: str = "env:DD_APP_KEY",
    *,
    site: str = "datadoghq.com",
    url: str | None = None,
    timeout: float = 30.0,
) -> Any:
    """A ``datadog_api_client.ApiClient`` for v1 and v2. Make it in a cell tagged ``setup``.

    Refusals for the rate are waited out by the recorded call itself, as long as Datadog says; the client's own retries stay off.

    Args:
        api_key: a reference to the API key.
        app_key: a reference to the application key.
        site: of the organisation (``datadoghq.eu``, ``us5.datadoghq.com``).
        url: of another Datadog (a proxy, a stand-in), instead of the site's.
        timeout: seconds per request.
    Raises:
        OperatorError: HF219 a reference leads nowhere.
    """
    from datadog_api_client import ApiClient, Configuration

    settings = Configuration(
        host=url,
        server_variables=None if url else {"site": site},  # not an address: logs and some events are taken in elsewhere
        api_key={"apiKeyAuth": secret(api_key), "appKeyAuth": secret(app_key)},
        request_timeout=timeout,
    )
    for operation in _UNSTABLE:
        if operation in settings.unstable_operations:
            settings.unstable_operations[operation] = True
    return ApiClient(settings)

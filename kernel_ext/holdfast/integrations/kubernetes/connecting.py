"""A client of a cluster, its credentials by reference."""

from __future__ import annotations

from typing import Any

from holdfast.durable.references import secret


def connect(
    context: str | None = None, *, kubeconfig: str | None = None, server: str | None = None, token: str | None = None, ca: str | None = None
) -> Any:
    """A ``kubernetes.client.ApiClient``. Make it in a cell tagged ``setup``: it is made anew in every kernel.

    Args:
        context: of the kubeconfig; its current one by default. Within a cluster and without a kubeconfig: the pod's service account.
        kubeconfig: a path; ``KUBECONFIG`` or ``~/.kube/config`` by default.
        server: an address, instead of a kubeconfig.
        token: a reference to the bearer token for ``server`` (``env:NAME`` …).
        ca: path of the certificate that ``server`` is to be checked with.
    Raises:
        OperatorError: HF219 the reference leads nowhere.
    """
    from kubernetes import client, config

    if server is not None:
        settings = client.Configuration()
        settings.host, settings.ssl_ca_cert = server.rstrip("/"), ca
        if token is not None:
            settings.api_key = {"authorization": f"Bearer {secret(token)}"}
        return client.ApiClient(settings)
    try:
        return config.new_client_from_config(config_file=kubeconfig, context=context)
    except config.ConfigException:
        if context is not None or kubeconfig is not None:
            raise
        settings = client.Configuration()
        config.load_incluster_config(client_configuration=settings)
        return client.ApiClient(settings)

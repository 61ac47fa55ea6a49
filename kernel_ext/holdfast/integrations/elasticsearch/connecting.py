"""A client, its credentials by reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.durable.references import secret


def connect(
    url: str | Sequence[str] = "http://localhost:9200",
    *,
    api_key: str | None = None,
    user: str | None = None,
    password: str | None = None,
    ca_certs: str | None = None,
    timeout: float = 30.0,
) -> Any:
    """An ``elasticsearch.Elasticsearch``. Make it in a cell tagged ``setup``.

    Args:
        url: of a node, or of several: the next one is asked where one does not answer.
        api_key: a reference to an API key (base64, as Kibana shows it).
        user: for basic authentication.
        password: a reference to the password.
        ca_certs: a file with the certificate authority.
        timeout: seconds per request.
    Raises:
        OperatorError: HF219 a reference leads nowhere.
    """
    from elasticsearch import Elasticsearch

    given: dict[str, Any] = {"request_timeout": timeout}
    if api_key is not None:
        given["api_key"] = str.__str__(secret(api_key))
    if user is not None and password is not None:
        given["basic_auth"] = (user, str.__str__(secret(password)))
    if ca_certs is not None:
        given["ca_certs"] = ca_certs
    return Elasticsearch([url] if isinstance(url, str) else list(url), **given)

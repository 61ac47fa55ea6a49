"""A boto3 client, its credentials by reference or from AWS's own chain."""

from __future__ import annotations

from typing import Any

from holdfast.durable.references import secret


def connect(
    service: str,
    *,
    region: str | None = None,
    profile: str | None = None,
    key: str | None = None,
    secret_key: str | None = None,
    session_token: str | None = None,
) -> Any:
    """A boto3 client; without arguments with the credentials that boto3 finds by itself (role, profile, environment).

    Args:
        key: a reference to the access key id (``env:NAME`` …).
        secret_key: a reference to the secret key.
        session_token: a reference to the session token.
    Raises:
        OperatorError: HF219 a reference leads nowhere.
    """
    import boto3

    given = {"aws_access_key_id": key, "aws_secret_access_key": secret_key, "aws_session_token": session_token}
    credentials: dict[str, Any] = {name: secret(reference) for name, reference in given.items() if reference is not None}
    make: Any = boto3.Session(profile_name=profile, region_name=region, **credentials).client
    return make(service)

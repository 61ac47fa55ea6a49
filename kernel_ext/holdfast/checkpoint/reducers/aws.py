"""Reducers for boto3: clients, resources and sessions are made again from their settings, never from stored credentials."""

from __future__ import annotations

from typing import Any

from holdfast.checkpoint.reducer import Context, Reducer

#: How botocore says that the environment or the machine gave the credentials: another process of the installation finds them too.
_FOUND_ANYWHERE = frozenset({"env", "iam-role", "container-role"})


def _client(context: Context, o: Any) -> Any:
    _refuse_own_credentials(context, o, o._request_signer._credentials)
    return make_client, _settings(o)


def _settings(client: Any) -> tuple[Any, ...]:
    meta = client.meta
    config = getattr(meta.config, "_user_provided_options", None)
    return meta.service_model.service_name, meta.region_name, _given_endpoint(client), dict(config) if config else None


def _given_endpoint(client: Any) -> str | None:
    """The endpoint that was asked for, by argument or environment; None for the service's own."""
    builtins = getattr(getattr(client, "_ruleset_resolver", None), "_builtins", None) or {}
    found = builtins.get("SDK::Endpoint")
    return str(found) if found else None


def _refuse_own_credentials(context: Context, o: Any, credentials: Any) -> None:
    """Only what the default session finds by itself can be found again; other credentials belong in no checkpoint."""
    if credentials is None or credentials.method in _FOUND_ANYWHERE:
        return
    import boto3

    default = boto3.DEFAULT_SESSION.get_credentials() if boto3.DEFAULT_SESSION is not None else None
    if default is None or default.access_key != credentials.access_key or credentials.method == "explicit":
        raise context.cannot(o, "it was made with credentials of its own, which are not stored")


def make_client(service: str, region: str | None, endpoint: str | None, config: dict[str, Any] | None) -> Any:
    """A boto3 client with the same settings."""
    import boto3
    from botocore.config import Config

    make: Any = boto3.client  # its overloads know one name each
    return make(service, region_name=region, endpoint_url=endpoint, config=Config(**config) if config else None)


def _resource(context: Context, o: Any) -> Any:
    client = o.meta.client
    _refuse_own_credentials(context, o, client._request_signer._credentials)
    identifiers = [getattr(o, name) for name in o.meta.identifiers]
    kind = type(o).__name__.rpartition(".")[2]
    return make_resource, (*_settings(client), kind, identifiers)


def make_resource(
    service: str, region: str | None, endpoint: str | None, config: dict[str, Any] | None, kind: str, identifiers: list[Any]
) -> Any:
    """A boto3 resource of the same kind and identity; its attributes are read again when asked for."""
    import boto3
    from botocore.config import Config

    make: Any = boto3.resource
    root = make(service, region_name=region, endpoint_url=endpoint, config=Config(**config) if config else None)
    return root if kind == "ServiceResource" else getattr(root, kind)(*identifiers)


def _session(context: Context, o: Any) -> Any:
    core = o._session
    credentials = getattr(core, "_credentials", None)
    if credentials is not None and credentials.method == "explicit":
        raise context.cannot(o, "it was made with credentials of its own, which are not stored")
    profile = core.get_config_variable("profile")
    return make_session, (type(o), profile, core.instance_variables().get("region"))


def make_session(cls: Any, profile: str | None, region: str | None) -> Any:
    """A boto3 session for the same profile and region."""
    return cls(profile_name=profile, region_name=region)


REDUCERS = [
    Reducer("botocore.client:BaseClient", _client, subclasses=True),
    Reducer("boto3.resources.base:ServiceResource", _resource, subclasses=True),
    Reducer("boto3.session:Session", _session),
]

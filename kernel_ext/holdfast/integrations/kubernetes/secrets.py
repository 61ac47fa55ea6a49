"""``secret("k8s:NAMESPACE/NAME/KEY")``: one value of a Secret, read with the present context's rights."""

from __future__ import annotations

import base64


def read(place: str) -> str:
    """The value at ``NAMESPACE/NAME/KEY``.

    Raises:
        ValueError: badly written, not there, not readable, or no cluster to be reached.
    """
    from kubernetes.client import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    from holdfast.integrations.kubernetes.looking import client, get

    namespace, _, rest = place.partition("/")
    name, _, key = rest.partition("/")
    if not key:
        raise ValueError("it is written k8s:NAMESPACE/NAME/KEY")
    try:
        data = get(client(None), f"/api/v1/namespaces/{namespace}/secrets/{name}").get("data") or {}
    except ApiException as error:
        raise ValueError(f"the cluster answers {error.status} {error.reason}") from None
    except ConfigException as error:
        raise ValueError(f"no cluster is configured: {error}") from None
    except HTTPError as error:
        raise ValueError(f"the cluster cannot be reached: {error}") from None
    if key not in data:
        raise ValueError(f"the Secret {namespace}/{name} has no key {key}")
    return base64.b64decode(data[key]).decode()

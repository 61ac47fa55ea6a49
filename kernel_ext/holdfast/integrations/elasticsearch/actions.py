"""What a runbook does to a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from holdfast.integrations.elasticsearch.connecting import connect

ALLOCATION = "cluster.routing.allocation.enable"


def set_setting(name: str, value: Any, *, persistent: bool = True, client: Any = None) -> None:
    """Set one setting of the cluster; None takes it back, so that the default counts again.

    Args:
        name: dotted: ``indices.recovery.max_bytes_per_sec``.
        persistent: False: only until the whole cluster is restarted.
    Raises:
        elasticsearch.ApiError: Elasticsearch refuses.
    """
    (client or connect()).cluster.put_settings(**{"persistent" if persistent else "transient": {name: value}})


def allocation(
    enable: Literal["all", "primaries", "new_primaries", "none", "default"] | None, *, persistent: bool = True, client: Any = None
) -> None:
    """Which shards may be given to a node: ``primaries`` before one is restarted; ``default``, or None, takes that back."""
    set_setting(ALLOCATION, None if enable == "default" else enable, persistent=persistent, client=client)


def flush(index: str = "*", *, client: Any = None) -> None:
    """Write to disk what is in the translog, so that a restarted node has less to recover."""
    (client or connect()).indices.flush(index=index)


def retry_failed(*, client: Any = None) -> None:
    """Have shards allocated that were given up after too many failures."""
    (client or connect()).cluster.reroute(retry_failed=True, metric="none")


def index_document(index: str, document: Mapping[str, Any], *, id: str | None = None, client: Any = None) -> str:
    """Put a document into an index, once; returns its id.

    Args:
        id: a document of this id is replaced; by default a new one is made.
    """
    return str((client or connect()).index(index=index, id=id, document=dict(document))["_id"])


def delete_index(index: str, *, client: Any = None) -> None:
    """Delete an index with all that is in it. Destructive."""
    (client or connect()).indices.delete(index=index)

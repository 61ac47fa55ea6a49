"""Checks: read-only, a finding each; and the wait until the cluster is well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from holdfast.durable.polling import wait_for
from holdfast.durable.timers import Length
from holdfast.integrations.elasticsearch.looking import health, nodes, unassigned
from holdfast.show.findings import Finding, judge

T = TypeVar("T")

_ORDER = ("red", "yellow", "green")


def check_health(least: Literal["yellow", "green"] = "green", *, client: Any = None) -> Finding:
    """Whether the cluster is at least ``least``, and no shard is on the move."""

    def why(row: Mapping[str, Any]) -> str:
        if _ORDER.index(row["status"]) < _ORDER.index(least):
            return f"{row['status']}, {row['unassigned']} shards without a node, {row['initializing']} starting"
        return f"{row['relocating']} shards are moving" if row["relocating"] else ""

    return judge(f"cluster is {least}", health(client=client), why, empty=False)


def check_nodes(*wanted: str, most_disk: float = 85.0, client: Any = None) -> Finding:
    """Whether these nodes are in the cluster, and no node's disk is fuller than ``most_disk`` percent."""
    seen = nodes(client=client)
    missing = [{"object": name, "disk": None, "missing": True} for name in wanted if name not in seen.column("object")]

    def why(row: Mapping[str, Any]) -> str:
        if row.get("missing"):
            return "is not in the cluster"
        return f"disk {row['disk']:g} % full" if (row["disk"] or 0) > most_disk else ""

    return judge("nodes of the cluster", [*seen, *missing], why, empty=False)


def check_unassigned(*, client: Any = None) -> Finding:
    """Whether every shard has a node."""
    return judge(
        "shards without a node", unassigned(client=client), lambda row: f"{'primary' if row['primary'] else 'copy'}: {row['reason']}"
    )


def wait_healthy(
    least: Literal["yellow", "green"] = "green", *, timeout: Length | None = None, every: Length = 10, client: Any = None
) -> Finding | None:
    """Wait until the cluster is at least ``least``: durable, over restarts of everything. A node that does not answer means "not yet".

    Returns:
        the finding; None in a dry run.
    Raises:
        CallError: HF323 the time is up.
    """

    def healthy() -> Finding | None:
        return _seen(lambda: check_health(least, client=client))

    found: Finding | None = wait_for(healthy, every=every, timeout=timeout)
    return found


def wait_nodes(*names: str, gone: bool = False, timeout: Length | None = None, every: Length = 10, client: Any = None) -> bool:
    """Wait until all these nodes are in the cluster, or with ``gone`` until none of them is. As durable as :func:`wait_healthy`.

    Returns:
        True; False in a dry run.
    Raises:
        CallError: HF323 the time is up.
    """

    def there() -> bool:
        seen = _seen(lambda: nodes(client=client))
        return seen is not None and all((name in seen.column("object")) != gone for name in names)

    return bool(wait_for(there, every=every, timeout=timeout))


def _seen(look: Callable[[], T]) -> T | None:
    """What a look shows; None when the cluster cannot answer just now."""
    from elasticsearch import ApiError, ConnectionError, ConnectionTimeout

    try:
        return look()
    except (ConnectionError, ConnectionTimeout):
        return None
    except ApiError as error:
        if error.meta.status in (408, 429) or error.meta.status >= 500:
            return None
        raise

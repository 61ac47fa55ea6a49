"""Checks: read-only, a finding each; and the wait until the cluster is well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from holdfast.durable.polling import wait_for
from holdfast.durable.timers import Length
from holdfast.integrations.elasticsearch.looking import health, nodes, unassigned
from holdfast.show.findings import Finding, judge

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
    """Wait until :func:`check_health` is well: durable, over restarts of everything. A node that does not answer means "not yet".

    Returns:
        the finding; None in a dry run.
    Raises:
        CallError: HF323 the time is up.
    """
    from elasticsearch import ApiError, TransportError

    def healthy() -> Finding:
        return check_health(least, client=client)

    found: Finding | None = wait_for(healthy, every=every, timeout=timeout, ignore=(ApiError, TransportError, OSError))
    return found

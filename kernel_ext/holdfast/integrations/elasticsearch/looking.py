"""What a cluster says of itself, and what is found in it, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.integrations.elasticsearch.connecting import connect
from holdfast.integrations.elasticsearch.dialect import flattened
from holdfast.show.findings import Rows

_NODE = "name,ip,master,node.role,version,heap.percent,disk.used_percent,load_1m"


def health(*, client: Any = None) -> Rows:
    """The cluster's health, one row: status, nodes, shards that are active, move, start, have no node; tasks that wait."""
    found = (client or connect()).cluster.health()
    return Rows(
        [
            {
                "object": found["cluster_name"],
                "status": found["status"],
                "nodes": found["number_of_nodes"],
                "active": found["active_shards"],
                "relocating": found["relocating_shards"],
                "initializing": found["initializing_shards"],
                "unassigned": found["unassigned_shards"],
                "tasks": found["number_of_pending_tasks"],
            }
        ]
    )


def nodes(*, client: Any = None) -> Rows:
    """The nodes: name, address, whether it is the master, roles, version, memory and disk in use (percent), load."""
    return Rows(
        {
            "object": one["name"],
            "address": one.get("ip"),
            "master": one.get("master") == "*",
            "roles": one.get("node.role"),
            "version": one.get("version"),
            "heap": _number(one.get("heap.percent")),
            "disk": _number(one.get("disk.used_percent")),
            "load": _number(one.get("load_1m")),
        }
        for one in (client or connect()).cat.nodes(format="json", h=_NODE)
    )


def indices(pattern: str = "*", *, client: Any = None) -> Rows:
    """Indices: name, health, whether open, shards, copies, documents, size in bytes."""
    return Rows(
        {
            "object": one["index"],
            "health": one.get("health"),
            "status": one.get("status"),
            "shards": _number(one.get("pri")),
            "copies": _number(one.get("rep")),
            "documents": _number(one.get("docs.count")),
            "bytes": _number(one.get("store.size")),
        }
        for one in (client or connect()).cat.indices(index=pattern, format="json", bytes="b")
    )


def unassigned(*, client: Any = None) -> Rows:
    """Shards without a node: index and shard, primary or copy, since when, why."""
    found = (client or connect()).cat.shards(format="json", h="index,shard,prirep,state,unassigned.reason,unassigned.at")
    return Rows(
        {
            "object": f"{one['index']}/{one['shard']}",
            "primary": one["prirep"] == "p",
            "reason": one.get("unassigned.reason"),
            "since": one.get("unassigned.at"),
        }
        for one in found
        if one["state"] == "UNASSIGNED"
    )


def explain(index: str | None = None, shard: int = 0, *, primary: bool = False, client: Any = None) -> Rows:
    """Why a shard is where it is, or nowhere: for each node what the allocation decides, and why.

    Args:
        index: by default Elasticsearch chooses a shard without a node.
    """
    asked = {} if index is None else {"index": index, "shard": shard, "primary": primary}
    found = (client or connect()).cluster.allocation_explain(**asked)
    rows = Rows(
        {
            "object": one["node_name"],
            "shard": f"{found['index']}/{found['shard']}{' primary' if found.get('primary') else ''}",
            "decision": one["node_decision"],
            "why": "; ".join(d["explanation"] for d in one.get("deciders") or ()),
        }
        for one in found.get("node_allocation_decisions") or ()
    )
    return rows or Rows(
        [
            {
                "object": (found.get("current_node") or {}).get("name"),
                "shard": f"{found['index']}/{found['shard']}",
                "decision": found.get("can_allocate") or found.get("can_remain_on_current_node"),
                "why": found.get("allocate_explanation") or found.get("rebalance_explanation"),
            }
        ]
    )


def search(index: str, query: str | Mapping[str, Any] = "*", *, hours: float | None = None, most: int = 100, client: Any = None) -> Rows:
    """The newest documents that match: each with its fields, ``object`` (its id) and ``index``.

    Args:
        query: in Lucene's syntax (``level:error AND host:web-1``), or a query of Elasticsearch's own.
        hours: only of the last hours, by the field ``@timestamp``.
        most: how many at most.
    """
    asked: dict[str, Any] = dict(query) if isinstance(query, Mapping) else {"query_string": {"query": query}}
    if hours is not None:
        asked = {"bool": {"must": [asked], "filter": [{"range": {"@timestamp": {"gte": f"now-{round(hours * 3600)}s"}}}]}}
    order = [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}]
    found = (client or connect()).search(index=index, query=asked, size=most, sort=order)["hits"]["hits"]
    return Rows({"object": one["_id"], "index": one["_index"], **(one.get("_source") or {})} for one in found)


def settings(*, client: Any = None) -> dict[str, str]:
    """The cluster's settings that somebody set, by their dotted names; what is transient goes before what is persistent."""
    found = (client or connect()).cluster.get_settings(flat_settings=True)
    both = {**flattened(found["persistent"]), **flattened(found["transient"])}
    return {name: value for name, value in both.items() if name and value is not None}


def _number(text: Any) -> float | int | None:
    try:
        return int(text)
    except (TypeError, ValueError):
        try:
            return float(text)
        except (TypeError, ValueError):
            return None

"""A stand-in for Elasticsearch 9 on loopback, as far as Holdfast's integration uses it, after Elastic's documentation.

It answers as the product (``X-Elastic-Product``, the vendor's content type), keeps settings of the cluster (persistent and transient, taken
back by null), indices with their uuids, and documents with ids, versions and sequence numbers; makes up an id where there is none; refuses
``_create`` of what is there (409), an index that is there (400), and what is not there (404). A node that leaves the cluster leaves its
shards without a node: the cluster is yellow, until the node is back and some looks later. What it writes down is the truth about what
arrived.

``python -m holdfast.testing.servers.elasticsearch [PORT]`` serves until Ctrl-C.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from typing import Any

from holdfast.foundation import clock
from holdfast.testing.servers.standing_in import Came, Said, StandIn, serve_until_interrupted

#: What it knows its client by.
API_KEY = "c3RhbmQtaW46czNjcmV0LW9mLWVsYXN0aWM="
ALLOCATION = "cluster.routing.allocation.enable"
NODES = ("es-1", "es-2", "es-3")


class _World(StandIn):
    """What there is."""

    kind = "application/vnd.elasticsearch+json;compatible-with=9"

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """As at the beginning: three nodes, an index of logs and an empty one, green."""
        self.persistent: dict[str, str] = {}
        self.transient: dict[str, str] = {}
        self.indices: dict[str, dict[str, Any]] = {}
        self.written: list[tuple[str, str, str]] = []  # how, index, id: each document that was written or deleted
        self.flushed: list[str] = []
        self.put: list[dict[str, Any]] = []  # each change of settings
        self.rerouted: list[dict[str, Any]] = []
        self.nodes = set(NODES)
        self.recovering = 0  # looks at the cluster's health until it is green again
        self.refuse, self.lose = 0, []
        self.requests.clear()
        for n in range(3):
            self.write("logs-web", f"L{n}", {"@timestamp": f"2026-01-02T03:0{n}:00Z", "level": "error", "message": f"disk full {n}"})
        self.make("logs-old")
        self.written.clear()

    def make(self, name: str) -> dict[str, Any]:
        """An index, made if there is none."""
        return self.indices.setdefault(name, {"uuid": uuid.uuid4().hex[:22], "docs": {}, "seq": 0})

    def write(self, index: str, name: str, source: dict[str, Any], how: str = "index") -> tuple[int, dict[str, Any]]:
        """One document; a ``create`` of what is there is refused."""
        there = self.make(index)
        old = there["docs"].get(name)
        if how == "create" and old is not None:
            reason = f"[{name}]: version conflict, document already exists (current version [{old['_version']}])"
            return 409, {"type": "version_conflict_engine_exception", "reason": reason, "index": index}
        version = 1 if old is None else old["_version"] + 1
        there["docs"][name] = {"_source": source, "_version": version, "_seq_no": there["seq"], "_primary_term": 1}
        there["seq"] += 1
        self.written.append((how, index, name))
        return (201 if old is None else 200), self.result(index, name, "created" if old is None else "updated")

    def remove(self, index: str, name: str) -> tuple[int, dict[str, Any]]:
        """Delete one document."""
        there = self.indices.get(index, {"docs": {}})
        if there["docs"].pop(name, None) is None:
            return 404, {"_index": index, "_id": name, "_version": 1, "result": "not_found"}
        self.written.append(("delete", index, name))
        return 200, {"_index": index, "_id": name, "_version": 2, "result": "deleted"}

    def result(self, index: str, name: str, said: str) -> dict[str, Any]:
        """What is said of a document that was written."""
        one = self.indices[index]["docs"][name]
        known = {key: one[key] for key in ("_version", "_seq_no", "_primary_term")}
        return {"_index": index, "_id": name, "result": said, "_shards": {"total": 2, "successful": 1, "failed": 0}, **known}

    def status(self) -> str:
        """Of the cluster, as one more look finds it."""
        if set(NODES) - self.nodes:
            self.recovering = 2
        elif {**self.persistent, **self.transient}.get(ALLOCATION, "all") == "all":
            self.recovering = max(0, self.recovering - 1)
        return "yellow" if self.recovering else "green"


class Elasticsearch(_World):
    """Its API."""

    def refusal(self) -> Said:
        error = {"type": "es_rejected_execution_exception", "reason": "rejected execution of primary operation"}
        return self._as_product(Said(429, {"error": error, "status": 429}))

    def answer(self, came: Came) -> Said:
        if came.headers.get("authorization") != f"ApiKey {API_KEY}":
            error = {"type": "security_exception", "reason": "missing authentication credentials"}
            return self._as_product(Said(401, {"error": error, "status": 401}))
        for pattern, methods, work in _WAYS:
            found = re.fullmatch(pattern, came.path.strip("/"))
            if found and came.method in methods.split():
                said = work(self, came, **found.groupdict())
                return self._as_product(said if isinstance(said, Said) else Said(*said) if isinstance(said, tuple) else Said(document=said))
        return self._as_product(Said(400, {"error": f"no handler found for uri [{came.path}] and method [{came.method}]"}))

    def _as_product(self, said: Said) -> Said:
        return Said(said.status, said.document, {"X-Elastic-Product": "Elasticsearch", **said.headers})

    def _settings(self, came: Came) -> Any:
        if came.method == "PUT":
            for scope in ("persistent", "transient"):
                for name, value in _flat(came.document.get(scope) or {}).items():
                    kept = getattr(self, scope)
                    for one in [one for one in kept if re.fullmatch(re.escape(name).replace(r"\*", ".*"), one)]:
                        kept.pop(one)
                    if value is not None:
                        kept[name] = value
            self.put.append(came.document)
            return {
                "acknowledged": True,
                "persistent": came.document.get("persistent", {}),
                "transient": came.document.get("transient", {}),
            }
        return {"persistent": self.persistent, "transient": self.transient}

    def _health(self, came: Came) -> Any:
        status, missing = self.status(), len(NODES) - len(self.nodes)
        wanted = came.query.get("wait_for_status", [status])[0]
        late = ("red", "yellow", "green").index(status) < ("red", "yellow", "green").index(wanted)
        shards = {"active_shards": 10 - 2 * missing, "relocating_shards": 0, "initializing_shards": 1 if self.recovering else 0}
        shards |= {"unassigned_shards": 2 * missing, "number_of_pending_tasks": 0, "number_of_nodes": len(self.nodes)}
        return (408 if late else 200), {"cluster_name": "stand-in", "status": status, "timed_out": late, **shards}

    def _nodes(self, came: Came) -> Any:
        fixed = {"ip": "127.0.0.1", "node.role": "dim", "version": "9.1.0", "heap.percent": "40", "load_1m": "0.50"}
        return [
            {"name": n, "master": "*" if n == min(self.nodes) else "-", "disk.used_percent": "61.50", **fixed} for n in sorted(self.nodes)
        ]

    def _list(self, came: Came, index: str = "*") -> Any:
        fixed = {"health": "green", "status": "open", "pri": "1", "rep": "1", "store.size": "2048"}
        return [{"index": name, "docs.count": str(len(one["docs"])), **fixed} for name, one in self._matching(index).items()]

    def _shards(self, came: Came) -> Any:
        rows = [{"index": "logs-web", "shard": "0", "prirep": "p", "state": "STARTED"}]
        gone = {"state": "UNASSIGNED", "unassigned.reason": "NODE_LEFT", "unassigned.at": "2026-01-02T03:04:05Z"}
        return rows + [{"index": "logs-web", "shard": "0", "prirep": "r", **gone} for _ in set(NODES) - self.nodes]

    def _explain(self, came: Came) -> Any:
        if not came.document and not set(NODES) - self.nodes:
            return 400, {"error": {"type": "illegal_argument_exception", "reason": "No shard was specified in the explain API request"}}
        why = {
            "decider": "enable",
            "decision": "NO",
            "explanation": f"replica allocations are forbidden due to cluster setting [{ALLOCATION}]",
        }
        nodes = [{"node_name": n, "node_decision": "no", "deciders": [why]} for n in sorted(self.nodes)]
        return {"index": "logs-web", "shard": 0, "primary": False, "can_allocate": "no", "node_allocation_decisions": nodes}

    def _reroute(self, came: Came) -> Any:
        if came.query.get("dry_run") != ["true"]:
            self.rerouted.append(came.document)
        return {"acknowledged": True}

    def _flush(self, came: Came, index: str = "*") -> Any:
        self.flushed.append(index)
        return {"_shards": {"total": 2, "successful": 2, "failed": 0}}

    def _search(self, came: Came, index: str = "*") -> Any:
        hits = [
            {"_index": name, "_id": key, "_score": None, "_source": doc["_source"]}
            for name, one in self._matching(index).items()
            for key, doc in one["docs"].items()
        ]
        hits.sort(key=lambda hit: hit["_source"].get("@timestamp", ""), reverse=True)
        return {
            "took": 1,
            "timed_out": False,
            "hits": {"total": {"value": len(hits), "relation": "eq"}, "hits": hits[: came.document.get("size", 10)]},
        }

    def _document(self, came: Came, index: str, how: str, id: str | None = None) -> Any:
        if came.method in ("GET", "HEAD"):
            found = self.indices.get(index, {"docs": {}})["docs"].get(id)
            about = {"_index": index, "_id": id, "found": found is not None}
            return (404 if found is None else 200), {**about, **(found or {})}
        if came.method == "DELETE":
            return self.remove(index, str(id))
        if how == "update":
            old = self.make(index)["docs"].get(id)
            if old is None:
                return 404, {"error": {"type": "document_missing_exception", "reason": f"[{id}]: document missing"}}
            added = came.document.get("doc") or {"count": old["_source"].get("count", 0) + 1}
            return self.write(index, str(id), {**old["_source"], **added})
        create = how == "create" or came.query.get("op_type") == ["create"]
        status, said = self.write(index, id or uuid.uuid4().hex[:20], came.document, "create" if create else "index")
        return status, {"error": said, "status": status} if status == 409 else said

    def _bulk(self, came: Came, index: str = "") -> Any:
        lines, items = [json.loads(line) for line in came.body.splitlines() if line.strip()], []
        while lines:
            ((how, about),) = lines.pop(0).items()
            name, where = about.get("_id") or uuid.uuid4().hex[:20], about.get("_index", index)
            status, said = self.remove(where, name) if how == "delete" else self.write(where, name, lines.pop(0), how)
            items.append({how: {**said, "status": status}})
        return {"took": 1, "errors": any(i["status"] > 299 for one in items for i in one.values()), "items": items}

    def _index(self, came: Came, index: str) -> Any:
        if came.method == "PUT":
            if index in self.indices:
                return 400, {
                    "error": {"type": "resource_already_exists_exception", "reason": f"index [{index}] already exists"},
                    "status": 400,
                }
            self.make(index)
            return {"acknowledged": True, "shards_acknowledged": True, "index": index}
        found = self._matching(index)
        if not found and "*" not in index:
            return 404, {"error": {"type": "index_not_found_exception", "reason": f"no such index [{index}]"}, "status": 404}
        if came.method == "DELETE":
            for name in found:
                del self.indices[name]
                self.written.append(("delete-index", name, ""))
            return {"acknowledged": True}
        return {name: {} for name in found}

    def _uuids(self, came: Came, index: str) -> Any:
        return {name: {"settings": {"index.uuid": one["uuid"]}} for name, one in self._matching(index).items()}

    def _matching(self, pattern: str) -> dict[str, dict[str, Any]]:
        wanted = re.compile("|".join(re.escape(one).replace(r"\*", ".*") for one in pattern.replace("_all", "*").split(",")))
        return {name: one for name, one in self.indices.items() if wanted.fullmatch(name)}


def _flat(settings: Any, prefix: str = "") -> dict[str, str | None]:
    if not isinstance(settings, dict):
        return {prefix[:-1]: None if settings is None else json.dumps(settings) if isinstance(settings, bool) else str(settings)}
    return {name: value for key, inner in settings.items() for name, value in _flat(inner, f"{prefix}{key}.").items()}


_NAME = "(?P<index>[^/_][^/]*)"
_WAYS: tuple[tuple[str, str, Any], ...] = (
    ("", "GET HEAD", lambda world, came: {"name": "es-1", "cluster_name": "stand-in", "version": {"number": "9.1.0"}, "at": clock.now()}),
    ("_cluster/settings", "GET PUT", Elasticsearch._settings),
    ("_cluster/health", "GET", Elasticsearch._health),
    ("_cluster/allocation/explain", "GET POST", Elasticsearch._explain),
    ("_cluster/reroute", "POST", Elasticsearch._reroute),
    ("_cat/nodes", "GET", Elasticsearch._nodes),
    ("_cat/indices(?:/(?P<index>[^/]+))?", "GET", lambda world, came, index: world._list(came, index or "*")),
    ("_cat/shards", "GET", Elasticsearch._shards),
    (r"(?:(?P<index>[^/]+)/)?_flush", "POST GET", lambda world, came, index: world._flush(came, index or "*")),
    (r"(?:(?P<index>[^/]+)/)?_search", "POST GET", lambda world, came, index: world._search(came, index or "*")),
    (r"(?:(?P<index>[^/]+)/)?_bulk", "POST PUT", lambda world, came, index: world._bulk(came, index or "")),
    (f"{_NAME}/_settings/index.uuid", "GET", Elasticsearch._uuids),
    (f"{_NAME}/_(?P<how>doc|create|update)(?:/(?P<id>[^/]+))?", "GET HEAD POST PUT DELETE", Elasticsearch._document),
    (_NAME, "GET HEAD PUT DELETE", Elasticsearch._index),
)


if __name__ == "__main__":
    serve_until_interrupted(
        Elasticsearch,
        int(sys.argv[1]) if len(sys.argv) > 1 else 0,
        f"export ES_API_KEY={API_KEY}\nes.connect('{{url}}', api_key='env:ES_API_KEY')",
    )

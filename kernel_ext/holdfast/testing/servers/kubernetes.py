"""A stand-in for a kube-apiserver, as far as the official client's contract of objects goes; copied from the behaviour of kube-apiserver
1.20, against which the same suite is run where its binaries are (:class:`ApiServer`, in ``kube_apiserver``).

Objects of any kind, with uid, resourceVersion, generation and managedFields; optimistic concurrency; merge, strategic merge (as merge),
JSON and apply patches; preconditions; dry run; evictions (429 while a budget forbids it); label and field selectors. Nothing acts on the
objects.
"""

from __future__ import annotations

import copy
import json
import re
import uuid
from typing import Any

from holdfast.foundation import clock
from holdfast.testing.servers.standing_in import Came, Said, StandIn

_PATH = re.compile(r"/(?:api/v1|apis/[^/]+/[^/]+)(?P<namespace>/namespaces/[^/]+(?=/[^/]))?/(?P<rest>.+)")


class Refused(Exception):
    """An answer that is a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
        self.said = Said(code, status)


class KubernetesServer(StandIn):
    """Serves on 127.0.0.1, from ``with`` to its end; ``requests`` is what arrived, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {}  # path -> object
        self.changes: list[tuple[str, str]] = []  # (verb, path) of what was really changed
        self.budget_blocks = 0  # the next evictions are answered 429
        self.token = "t0ken-of-the-cluster"  # noqa: S105 - of a server that nobody can reach
        self._version = 0

    def reset(self) -> None:
        """No objects, and nothing counted."""
        with self.lock:
            self.objects.clear()
            self.requests.clear()
            self.changes.clear()
            self.refuse = self.budget_blocks = 0

    def put(self, path: str, **content: Any) -> dict[str, Any]:
        """An object that is there from the start; not counted."""
        with self.lock:
            return self._store(path, {"metadata": {}, **content}, "before", new=True)

    def made(self, verb: str, pattern: str) -> int:
        """How often a change of that verb was made on a path that matches."""
        with self.lock:
            return sum(1 for v, path in self.changes if v == verb and re.search(pattern, path))

    # ---- what is asked ----

    def take(self, came: Came) -> Said | None:
        """One request; whoever has no token is not even noted."""
        if came.headers.get("authorization") != f"Bearer {self.token}":
            return Refused(401, "Unauthorized", "Unauthorized").said
        try:
            return super().take(came)
        except Refused as refused:
            return refused.said

    def note(self, came: Came) -> None:
        self.requests.append({"method": came.method, "path": came.path, "query": _query(came), "body": _body(came)})

    def refusal(self) -> Said:
        return Refused(429, "TooManyRequests", "too many requests, please try again later").said

    def answer(self, came: Came) -> Said:
        status, document = self._answer(came, _query(came), _body(came))
        if "log" in document:
            return Said(status, str(document["log"]).encode(), {"Content-Type": "text/plain"})
        return Said(status, document)

    def _answer(self, came: Came, query: dict[str, str], body: Any) -> tuple[int, dict[str, Any]]:
        if came.path == "/apis":
            return 200, {"groups": [{"name": "policy", "versions": [{"groupVersion": "policy/v1"}]}]}
        found = _PATH.fullmatch(came.path)
        if found is None:
            raise Refused(404, "NotFound", "no such path")
        rest = found["rest"].split("/")
        path = came.path if len(rest) <= 2 else "/".join(came.path.split("/")[: -(len(rest) - 2)])
        sub = "/".join(rest[2:])
        dry = query.get("dryRun") == "All"
        if len(rest) == 1:
            return self._collection(came.method, path, query, body, dry)
        return self._object(came.method, path, sub, query, body, came.headers.get("content-type", ""), dry)

    def _collection(self, method: str, path: str, query: dict[str, str], body: Any, dry: bool) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            meta = body.setdefault("metadata", {})
            if not meta.get("name"):
                meta["name"] = meta.get("generateName", "x-") + uuid.uuid4().hex[:5]
            one = f"{path}/{meta['name']}"
            if one in self.objects:
                raise Refused(409, "AlreadyExists", f'{path.rpartition("/")[2]} "{meta["name"]}" already exists')
            return 201, self._change("create", one, body, query, dry, new=True)
        resource = path.rpartition("/")[2]
        inside = re.compile(re.escape(path) + r"/[^/]+$" if "/namespaces/" in path else rf".*/{re.escape(resource)}/[^/]+$")
        items = [o for p, o in sorted(self.objects.items()) if inside.match(p) and _selected(o, query)]
        if method == "DELETE":
            for p in [p for p, o in list(self.objects.items()) if o in items]:
                self._remove(p, dry)
            return 200, {"kind": "Status", "status": "Success"}
        return 200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": str(self._version)}, "items": items}

    def _object(
        self, method: str, path: str, sub: str, query: dict[str, str], body: Any, kind: str, dry: bool
    ) -> tuple[int, dict[str, Any]]:
        there = self.objects.get(path)
        applied = method == "PATCH" and kind.startswith("application/apply-patch")
        if applied and not query.get("fieldManager"):
            raise Refused(422, "Invalid", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch")
        if there is None and applied and not sub:
            return 201, self._change("create", path, body, query, dry, new=True)
        if there is None:
            raise Refused(404, "NotFound", f'"{path.rpartition("/")[2]}" not found')
        if sub == "log":
            return 200, {"log": there.get("log", "")}
        if sub == "eviction":
            if self.budget_blocks:
                self.budget_blocks -= 1
                raise Refused(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
            self._precondition(there, (body or {}).get("deleteOptions"))
            self._remove(path, dry)
            return 201, {"kind": "Status", "status": "Success"}
        if method == "GET":
            return 200, _scale(there) if sub == "scale" else there
        if method == "DELETE":
            self._precondition(there, body)
            self._remove(path, dry)
            return 200, {"kind": "Status", "status": "Success"}
        if method == "PUT":
            given = (body.get("metadata") or {}).get("resourceVersion")
            new = body if sub != "scale" else _merge(there, {"spec": body["spec"]})
        else:
            given = (body.get("metadata") or {}).get("resourceVersion") if isinstance(body, dict) else None
            new = _patched(there, body)
        if applied and new == there:
            return 200, there  # applied again it changes nothing, not even the version
        if given and given != there["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", "the object has been modified; please apply your changes to the latest version and try again")
        changed = self._change("update", path, {**new, "metadata": {**there["metadata"], **(new.get("metadata") or {})}}, query, dry)
        return 200, _scale(changed) if sub == "scale" else changed

    # ---- what is kept ----

    def _precondition(self, there: dict[str, Any], options: Any) -> None:
        uid = ((options or {}).get("preconditions") or {}).get("uid")
        if uid and uid != there["metadata"]["uid"]:
            raise Refused(
                409, "Conflict", f"Precondition failed: UID in precondition: {uid}, UID in object meta: {there['metadata']['uid']}"
            )

    def _remove(self, path: str, dry: bool) -> None:
        if not dry:
            del self.objects[path]
            self.changes.append(("delete", path))

    def _change(self, verb: str, path: str, body: dict[str, Any], query: dict[str, str], dry: bool, *, new: bool = False) -> dict[str, Any]:
        if dry:
            return copy.deepcopy(body)
        made = self._store(path, body, query.get("fieldManager", "unknown"), new=new)
        self.changes.append((verb, path))
        return made

    def _store(self, path: str, body: dict[str, Any], manager: str, *, new: bool) -> dict[str, Any]:
        self._version += 1
        meta = dict(body.get("metadata") or {})
        meta["name"] = path.rpartition("/")[2]
        if "/namespaces/" in path and not path.startswith("/api/v1/namespaces/" + meta["name"]):
            meta["namespace"] = path.partition("/namespaces/")[2].partition("/")[0]
        if new:
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=clock.iso(clock.now())[:19] + "Z", generation=1)
        meta["resourceVersion"] = str(self._version)
        others = [entry for entry in meta.get("managedFields") or () if entry["manager"] != manager]
        meta["managedFields"] = [*others, {"manager": manager, "operation": "Update", "time": clock.iso(clock.now())[:19] + "Z"}]
        kept = self.objects[path] = {**copy.deepcopy(body), "metadata": meta}
        return kept


def _query(came: Came) -> dict[str, str]:
    return {name: values[-1] for name, values in came.query.items() if values[-1]}


def _body(came: Came) -> Any:
    return json.loads(came.body) if came.body else None


def _selected(one: dict[str, Any], query: dict[str, str]) -> bool:
    labels = one["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, _, value = term.partition("=")
        if labels.get(name) != value.lstrip("="):
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        name, _, value = term.partition("=")
        found: Any = one
        for part in name.split("."):
            found = (found or {}).get(part)
        if found != value.lstrip("="):
            return False
    return True


def _merge(old: Any, new: Any) -> Any:
    if not isinstance(new, dict) or not isinstance(old, dict):
        return new
    merged = dict(old)
    for name, value in new.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name, {} if isinstance(value, dict) else None), value)
    return merged


def _patched(there: dict[str, Any], body: Any) -> dict[str, Any]:
    new: dict[str, Any] = copy.deepcopy(there)
    if not isinstance(body, list):
        merged: dict[str, Any] = _merge(new, body)
        return merged
    for step in body:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        holder: Any = new
        for part in way:
            holder = holder[int(part)] if isinstance(holder, list) else holder.setdefault(part, {})
        if isinstance(holder, list):
            at = len(holder) if last == "-" else int(last)
            if step["op"] == "remove":
                del holder[at]
            elif step["op"] == "add":
                holder.insert(at, step["value"])
            else:
                holder[at] = step["value"]
        elif step["op"] == "remove":
            del holder[last]
        elif step["op"] == "test":
            if holder.get(last) != step["value"]:
                raise Refused(422, "Invalid", "the server rejected our request due to an error in our request")
        else:
            holder[last] = step["value"]
    return new


def _scale(one: dict[str, Any]) -> dict[str, Any]:
    replicas = (one.get("spec") or {}).get("replicas", 1)
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": one["metadata"], "spec": {"replicas": replicas}}

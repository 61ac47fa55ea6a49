"""What runbooks do to a cluster. Each is one call, recorded once; a dry run asks the server what would come of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.durable.clock import now
from holdfast.errors import CallError
from holdfast.integrations.kubernetes.looking import ask, client, get, listed, revisions
from holdfast.show.findings import Rows

_KINDS = {"deployment": "deployments", "statefulset": "statefulsets", "replicaset": "replicasets", "daemonset": "daemonsets"}
_MERGE = "application/strategic-merge-patch+json"


def patch(path: str, change: Any, *, kind: str = "merge", api: Any = None) -> dict[str, Any]:
    """Change the object at ``path`` (``/apis/apps/v1/namespaces/prod/deployments/web``).

    Args:
        change: a document, or a list of operations for ``kind="json"``.
        kind: ``merge``, ``strategic`` or ``json``.
    Raises:
        kubernetes.client.ApiException: the server refuses.
    """
    return ask(client(api), "PATCH", path, change, kind=f"application/{'strategic-merge' if kind == 'strategic' else kind}-patch+json")


def scale(namespace: str, name: str, replicas: int, *, kind: str = "deployment", api: Any = None) -> int:
    """Set the number of replicas; returns what it was before."""
    path = f"{_of(kind, namespace, name)}/scale"
    api = client(api)
    before = int((get(api, path).get("spec") or {}).get("replicas", 0))
    ask(api, "PATCH", path, {"spec": {"replicas": replicas}}, kind="application/merge-patch+json")
    return before


def restart(namespace: str, name: str, *, kind: str = "deployment", api: Any = None) -> None:
    """Roll all pods over, as ``kubectl rollout restart`` does."""
    stamp = {"kubectl.kubernetes.io/restartedAt": now().isoformat()}
    change = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    ask(client(api), "PATCH", _of(kind, namespace, name), change, kind=_MERGE)


def rollback(namespace: str, deployment: str, revision: int | None = None, *, api: Any = None) -> int:
    """Go back to ``revision`` of a deployment, by default the one before the present; returns the revision gone back to.

    Raises:
        CallError: HF331 there is no such revision.
    """
    api = client(api)
    known = revisions(namespace, deployment, api=api)
    present = next((row["revision"] for row in known if row["in_use"]), 0)
    wanted = revision if revision is not None else max((r["revision"] for r in known if r["revision"] < present), default=0)
    chosen = next((row for row in known if row["revision"] == wanted), None)
    if chosen is None or wanted == present:
        there = ", ".join(str(row["revision"]) for row in known) or "none"
        raise CallError("HF331", f"{namespace}/{deployment} has no other revision to go back to", cure=f"Choose one of: {there}.")
    template = get(api, f"/apis/apps/v1/namespaces/{namespace}/replicasets/{chosen['object']}")["spec"]["template"]
    (template.get("metadata", {}).get("labels") or {}).pop("pod-template-hash", None)
    body = [{"op": "replace", "path": "/spec/template", "value": template}]
    ask(api, "PATCH", _of("deployment", namespace, deployment), body, kind="application/json-patch+json")
    return int(wanted)


def delete_pod(namespace: str, name: str, *, grace: int | None = None, api: Any = None) -> None:
    """Delete this very pod; never the one that takes its name afterwards.

    Args:
        grace: seconds it has to end; its own by default.
    """
    ask(client(api), "DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {"gracePeriodSeconds": grace} if grace is not None else None)


def evict(namespace: str, name: str, *, grace: int | None = None, api: Any = None) -> None:
    """Ask this very pod to go, as far as its disruption budget allows it: a refusal (429) is waited out as long as retries are allowed."""
    options = {"deleteOptions": {"gracePeriodSeconds": grace}} if grace is not None else {}
    api = client(api)
    body = {"apiVersion": _eviction_version(api), "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}, **options}
    ask(api, "POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)


def _eviction_version(api: Any) -> str:
    groups = get(api, "/apis").get("groups") or []
    versions = {v["groupVersion"] for g in groups if g["name"] == "policy" for v in g["versions"]}
    return "policy/v1" if "policy/v1" in versions or not versions else "policy/v1beta1"


def cordon(node: str, *, api: Any = None) -> bool:
    """Let ``node`` take no further pods; returns whether it took some before."""
    return _cordon(node, True, api)


def uncordon(node: str, *, api: Any = None) -> bool:
    """Let ``node`` take pods again; returns whether it took none before."""
    return _cordon(node, False, api)


def _cordon(node: str, wanted: bool, api: Any) -> bool:
    api, path = client(api), f"/api/v1/nodes/{node}"
    before = bool((get(api, path).get("spec") or {}).get("unschedulable"))
    if before != wanted:
        ask(api, "PATCH", path, {"spec": {"unschedulable": wanted}}, kind=_MERGE)
    return before != wanted


def drain(node: str, *, skip: Sequence[str] = (), grace: int | None = None, api: Any = None) -> Rows:
    """Cordon ``node`` and evict its pods one by one, those of daemon sets and static ones left; returns what was evicted. Wait for
    them to be gone with ``wait_for(lambda: not pods("", node=node))``.

    Args:
        skip: namespaces whose pods stay.
    """
    api = client(api)
    cordon(node, api=api)
    gone = Rows()
    for one in listed(api, "/api/v1/pods", fieldSelector=f"spec.nodeName={node}"):
        meta = one["metadata"]
        owners = {owner["kind"] for owner in meta.get("ownerReferences") or ()}
        static = "kubernetes.io/config.mirror" in (meta.get("annotations") or {})
        finished = (one.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if "DaemonSet" in owners or static or finished or meta["namespace"] in skip or meta.get("deletionTimestamp"):
            continue
        evict(meta["namespace"], meta["name"], grace=grace, api=api)
        gone.append({"object": f"{meta['namespace']}/{meta['name']}", "uid": meta["uid"]})
    return gone


def _of(kind: str, namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/{_KINDS[kind]}/{name}"

"""Readings for people: pods, events, revisions, as tables."""

from __future__ import annotations

from typing import Any

from holdfast.show.findings import Rows


def get(api: Any, path: str, **query: Any) -> dict[str, Any]:
    """The document at ``path``, as the server has it. Raises ``kubernetes.client.ApiException``."""
    return ask(api, "GET", path, query=query)


def ask(api: Any, method: str, path: str, body: Any = None, query: Any = None, kind: str = "application/json") -> dict[str, Any]:
    """One request through the client, with plain documents both ways."""
    pairs = [(name, value) for name, value in (query or {}).items() if value is not None]
    found: dict[str, Any] = api.call_api(
        path,
        method,
        {},
        pairs,
        {"Accept": "application/json", "Content-Type": kind},
        body=body,
        response_types_map={200: "object", 201: "object", 202: "object"},
        auth_settings=["BearerToken"],
        _return_http_data_only=True,
    )
    return found


def client(api: Any) -> Any:
    """``api``, or one of the present context."""
    if api is not None:
        return api
    from holdfast.integrations.kubernetes.connecting import connect

    return connect()


def listed(api: Any, path: str, **query: Any) -> list[dict[str, Any]]:
    """All items of a collection, over its pages."""
    items: list[dict[str, Any]] = []
    more = None
    while True:
        page = get(api, path, limit=500, **{"continue": more}, **query)
        items += page.get("items") or []
        more = (page.get("metadata") or {}).get("continue")
        if not more:
            return items


def pods(namespace: str, *, selector: str | None = None, node: str | None = None, api: Any = None) -> Rows:
    """The pods of a namespace (``""``: of all): name, node, phase, ready containers, restarts, and why one does not run.

    Args:
        selector: labels, ``app=web,tier=front``.
        node: only those on this node.
    """
    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    field = f"spec.nodeName={node}" if node else None
    return Rows(_pod(one) for one in listed(client(api), path, labelSelector=selector, fieldSelector=field))


def _pod(one: dict[str, Any]) -> dict[str, Any]:
    status, spec, meta = one.get("status") or {}, one.get("spec") or {}, one["metadata"]
    containers = status.get("containerStatuses") or []
    return {
        "object": f"{meta.get('namespace', '')}/{meta['name']}",
        "node": spec.get("nodeName"),
        "phase": status.get("phase"),
        "ready": f"{sum(1 for c in containers if c.get('ready'))}/{len(containers or spec.get('containers') or ())}",
        "restarts": sum(c.get("restartCount", 0) for c in containers),
        "reason": _reason(status, containers),
        "owner": next((o["kind"] for o in meta.get("ownerReferences") or ()), ""),
    }


def _reason(status: dict[str, Any], containers: list[dict[str, Any]]) -> str:
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            last = ((container.get("lastState") or {}).get("terminated")) or {}
            code = f" (last exit {last['exitCode']}{', ' + last['reason'] if last.get('reason') else ''})" if "exitCode" in last else ""
            return f"{waiting['reason']}{code}"
    return str(status.get("reason") or "")


def events(namespace: str, name: str | None = None, *, api: Any = None) -> Rows:
    """The events of a namespace, or of one object in it, newest last."""
    field = f"involvedObject.name={name}" if name else None
    found = listed(client(api), f"/api/v1/namespaces/{namespace}/events", fieldSelector=field)
    rows = [
        {
            "time": e.get("lastTimestamp") or e.get("eventTime"),
            "type": e.get("type"),
            "reason": e.get("reason"),
            "object": "{kind}/{name}".format(**{"kind": "", "name": "", **(e.get("involvedObject") or {})}),
            "message": e.get("message"),
            "count": e.get("count"),
        }
        for e in found
    ]
    return Rows(sorted(rows, key=lambda row: str(row["time"])))


def revisions(namespace: str, deployment: str, *, api: Any = None) -> Rows:
    """The revisions of a deployment, newest first: number, replica set, images, whether it is the one in use."""
    api = client(api)
    there = get(api, f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
    current = (there["metadata"].get("annotations") or {}).get(REVISION)
    rows = []
    for one in listed(api, f"/apis/apps/v1/namespaces/{namespace}/replicasets"):
        if not any(o.get("uid") == there["metadata"]["uid"] for o in one["metadata"].get("ownerReferences") or ()):
            continue
        number = (one["metadata"].get("annotations") or {}).get(REVISION, "0")
        images = [c.get("image") for c in one["spec"]["template"]["spec"].get("containers") or ()]
        rows.append(
            {"revision": int(number), "object": one["metadata"]["name"], "images": ", ".join(map(str, images)), "in_use": number == current}
        )
    return Rows(sorted(rows, key=lambda row: -row["revision"]))


REVISION = "deployment.kubernetes.io/revision"

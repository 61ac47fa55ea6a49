"""Checks: read-only, a finding each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.integrations.kubernetes.looking import client, listed, pods
from holdfast.show.findings import Finding, judge


def check_pods(namespace: str, *, selector: str | None = None, max_restarts: int | None = None, api: Any = None) -> Finding:
    """Whether every pod runs and is ready, or has done its work.

    Args:
        max_restarts: more restarts than this are a failure too.
    """

    def why(pod: Mapping[str, Any]) -> str:
        if pod["reason"]:
            return str(pod["reason"])
        ready, _, all_ = str(pod["ready"]).partition("/")
        if pod["phase"] not in ("Running", "Succeeded"):
            return str(pod["phase"] or "no phase yet")
        if pod["phase"] == "Running" and ready != all_:
            return f"{pod['ready']} containers ready"
        if max_restarts is not None and pod["restarts"] > max_restarts:
            return f"{pod['restarts']} restarts"
        return ""

    return judge(
        f"pods of {namespace or 'all namespaces'}{f' with {selector}' if selector else ''}",
        pods(namespace, selector=selector, api=api),
        why,
    )


def check_deployments(namespace: str, *, selector: str | None = None, api: Any = None) -> Finding:
    """Whether every deployment has as many available replicas of its newest revision as it wants."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments" if namespace else "/apis/apps/v1/deployments"

    def row(one: dict[str, Any]) -> dict[str, Any]:
        spec, status = one.get("spec") or {}, one.get("status") or {}
        return {
            "object": f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}",
            "wanted": spec.get("replicas", 1),
            "updated": status.get("updatedReplicas", 0),
            "available": status.get("availableReplicas", 0),
            "seen": status.get("observedGeneration", 0) >= one["metadata"].get("generation", 0),
        }

    def why(one: Mapping[str, Any]) -> str:
        if not one["seen"]:
            return "the newest change is not being worked on yet"
        if one["updated"] < one["wanted"]:
            return f"{one['updated']} of {one['wanted']} updated"
        return f"{one['available']} of {one['wanted']} available" if one["available"] < one["wanted"] else ""

    rows = [row(one) for one in listed(client(api), path, labelSelector=selector)]
    return judge(f"deployments of {namespace or 'all namespaces'}", rows, why)


def check_nodes(*, api: Any = None) -> Finding:
    """Whether every node is ready, without pressure, and takes pods."""

    def why(node: Mapping[str, Any]) -> str:
        if node["ready"] != "True":
            return "not ready"
        return str(node["pressure"]) or ("takes no pods" if node["cordoned"] else "")

    rows = []
    for one in listed(client(api), "/api/v1/nodes"):
        conditions = {c["type"]: c["status"] for c in (one.get("status") or {}).get("conditions") or ()}
        pressure = ", ".join(name for name, status in conditions.items() if name.endswith("Pressure") and status == "True")
        cordoned = bool((one.get("spec") or {}).get("unschedulable"))
        rows.append({"object": one["metadata"]["name"], "ready": conditions.get("Ready"), "pressure": pressure, "cordoned": cordoned})
    return judge("nodes", rows, why, empty=False)

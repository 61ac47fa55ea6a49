"""Kubernetes on the official client: durable calls, functions for runbooks, checks.

::

    from holdfast.integrations import kubernetes as k8s

    api = k8s.connect()
    k8s.check_pods("payments", api=api).require()
    k8s.restart("payments", "web", api=api)
"""

from __future__ import annotations

from holdfast.integrations.kubernetes.actions import (
    cordon,
    delete_pod,
    drain,
    evict,
    patch,
    restart,
    rollback,
    scale,
    uncordon,
)
from holdfast.integrations.kubernetes.checks import check_deployments, check_nodes, check_pods
from holdfast.integrations.kubernetes.connecting import connect
from holdfast.integrations.kubernetes.looking import events, get, pods, revisions

__all__ = [
    "check_deployments",
    "check_nodes",
    "check_pods",
    "connect",
    "cordon",
    "delete_pod",
    "drain",
    "events",
    "evict",
    "get",
    "patch",
    "pods",
    "restart",
    "revisions",
    "rollback",
    "scale",
    "uncordon",
]

"""One-line commands: ``!k8s restart payments web``."""

from __future__ import annotations

from holdfast.integrations.kubernetes import actions, checks, looking
from holdfast.model.oneliner import family

K8S = family(
    "Kubernetes, on the kubeconfig's current context",
    reads={
        "pods": looking.pods,
        "events": looking.events,
        "revisions": looking.revisions,
        "check-pods": checks.check_pods,
        "check-deployments": checks.check_deployments,
        "check-nodes": checks.check_nodes,
    },
    writes={
        "restart": actions.restart,
        "scale": actions.scale,
        "rollback": actions.rollback,
        "cordon": actions.cordon,
        "uncordon": actions.uncordon,
        "evict": actions.evict,
    },
    destroys={"delete-pod": actions.delete_pod, "drain": actions.drain},
)

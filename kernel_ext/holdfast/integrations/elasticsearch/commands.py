"""One-line commands: ``!es allocation primaries --client client``."""

from __future__ import annotations

from holdfast.integrations.elasticsearch.actions import allocation, delete_index, flush, retry_failed, set_setting
from holdfast.integrations.elasticsearch.checks import check_health, check_nodes, check_unassigned, wait_healthy, wait_nodes
from holdfast.integrations.elasticsearch.looking import explain, health, indices, nodes, search, settings, unassigned
from holdfast.model.oneliner import family

ES = family(
    "Elasticsearch, on a client of the notebook (`client = es.connect(...)`)",
    reads={
        "health": health,
        "nodes": nodes,
        "indices": indices,
        "unassigned": unassigned,
        "explain": explain,
        "search": search,
        "settings": settings,
        "check-health": check_health,
        "check-nodes": check_nodes,
        "check-unassigned": check_unassigned,
        "wait-healthy": wait_healthy,
        "wait-nodes": wait_nodes,
    },
    writes={"set-setting": set_setting, "allocation": allocation, "flush": flush, "retry-failed": retry_failed},
    destroys={"delete-index": delete_index},
)

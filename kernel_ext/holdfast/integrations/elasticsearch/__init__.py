"""Elasticsearch on its own client: durable calls, health, allocation, settings, documents.

::

    from holdfast.integrations import elasticsearch as es

    client = es.connect(["https://es-1:9200", "https://es-2:9200"], api_key="env:ES_API_KEY", ca_certs="/etc/es/ca.pem")
    es.check_health(client=client)
    es.allocation("primaries", client=client)
    es.wait_healthy(timeout="2h", client=client)
"""

from __future__ import annotations

from holdfast.integrations.elasticsearch.actions import allocation, delete_index, flush, index_document, retry_failed, set_setting
from holdfast.integrations.elasticsearch.checks import check_health, check_nodes, check_unassigned, wait_healthy, wait_nodes
from holdfast.integrations.elasticsearch.connecting import connect
from holdfast.integrations.elasticsearch.looking import explain, health, indices, nodes, search, settings, unassigned

__all__ = [
    "allocation",
    "check_health",
    "check_nodes",
    "check_unassigned",
    "connect",
    "delete_index",
    "explain",
    "flush",
    "health",
    "index_document",
    "indices",
    "nodes",
    "retry_failed",
    "search",
    "set_setting",
    "settings",
    "unassigned",
    "wait_healthy",
    "wait_nodes",
]

"""One-line commands: ``!pg long-queries db --seconds 300``."""

from __future__ import annotations

from holdfast.integrations.postgres import backends
from holdfast.model.oneliner import family

PG = family(
    "PostgreSQL, on a connection of the notebook (`db = postgres.connect(...)`)",
    reads={
        "long-queries": backends.long_queries,
        "locks": backends.locks,
        "check-long-queries": backends.check_long_queries,
        "check-connections": backends.check_connections,
    },
    destroys={"cancel-query": backends.cancel_query, "terminate-backend": backends.terminate_backend},
)

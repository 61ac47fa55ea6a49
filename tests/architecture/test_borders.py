"""Only ``config`` reads the environment and only ``foundation.clock`` reads the time, so that a test can move both."""

from __future__ import annotations

import ast
from typing import Any

READS = {
    "os": {"environ", "environb", "getenv", "putenv", "unsetenv"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
OWNERS = {"holdfast.config": {"os"}, "holdfast.foundation.clock": {"time", "datetime"}}


def test_environment_and_time_are_read_in_one_place(modules: list[Any], exceptions: Any) -> None:
    culprits = []
    for module in modules:
        for node in ast.walk(module.tree):
            for whose, what in _reads(node):
                subject = f"{module.name} {whose}.{what}"
                if whose not in OWNERS.get(module.name, ()) and not exceptions.allows(subject):
                    culprits.append(f"{subject} (line {getattr(node, 'lineno', 0)})")
    assert not culprits, "\n".join(culprits)
    assert not exceptions.stale, "exceptions that nothing needs any more"


def _reads(node: ast.AST) -> list[tuple[str, str]]:
    if isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr if isinstance(node.value, ast.Attribute) else ""
        return [(owner, node.attr)] if node.attr in READS.get(owner, ()) else []
    if isinstance(node, ast.ImportFrom) and node.module in {"os", "time"}:
        return [(node.module, alias.name) for alias in node.names if alias.name in READS[node.module]]
    return []

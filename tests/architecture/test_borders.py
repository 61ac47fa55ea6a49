"""Only ``config`` reads the environment and only ``foundation.clock`` reads the time, so that a test can move both."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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
        for line, whose, what in _reads(module):
            subject = f"{module.name} {whose}.{what}"
            if whose not in OWNERS.get(module.name, ()) and not exceptions.allows(subject):
                culprits.append(f"{subject} (line {line})")
    assert not culprits, "\n".join(culprits)
    assert not exceptions.stale, "exceptions that nothing needs any more"


def _reads(module: Any) -> Iterator[tuple[int, str, str]]:
    """Line, owner and name of every reading of the environment or the time."""
    for node in module.nodes(ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr if isinstance(node.value, ast.Attribute) else ""
        if node.attr in READS.get(owner, ()):
            yield node.lineno, owner, node.attr
    for node in module.nodes(ast.ImportFrom):
        if node.module in {"os", "time"}:
            yield from ((node.lineno, node.module, alias.name) for alias in node.names if alias.name in READS[node.module])

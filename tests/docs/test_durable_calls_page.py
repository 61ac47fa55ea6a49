"""The Python of the how-to page runs as printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "durable-calls.md"


def test_the_examples_run_outside_a_kernel_too() -> None:
    from holdfast.durable import current

    current.install(None)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
    assert list(namespace["results"]) == ["web1 patched", "web2 patched", "db1 patched"]
    assert namespace["age"].total_seconds() >= 0

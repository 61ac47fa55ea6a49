"""Which requests are none of Holdfast's business."""

from __future__ import annotations

import re
from typing import Any

_MAGIC = re.compile(r"%(holdfast|load_ext|reload_ext)\b")


def bypasses(parent: dict[str, Any]) -> bool:
    """Whether the request is to be executed as a plain kernel would: silent, without history, empty, or Holdfast's own magics only.

    The engine's evaluation of ``when`` is silent and yet ours.
    """
    content, metadata = parent.get("content") or {}, parent.get("metadata") or {}
    run = metadata.get("holdfast_run")
    if isinstance(run, dict) and run.get("role") == "when":
        return False
    silent = content.get("silent", False)
    if silent or not content.get("store_history", not silent):
        return True
    lines = [line.strip() for line in content.get("code", "").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return all(_MAGIC.match(line) for line in lines)

"""Files that commands write."""

from __future__ import annotations

from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all.

    Raises:
        OperatorError: HF252.
    """
    from holdfast.executions.places import put_in_place

    put_in_place(path, text)

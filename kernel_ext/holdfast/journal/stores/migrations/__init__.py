"""Numbered schema changes, one folder per store, applied in order inside one transaction each. A released file is never edited."""

from __future__ import annotations

from importlib import resources

from holdfast.errors import OperatorError


def scripts(store: str) -> list[tuple[int, str]]:
    """``(version, SQL)`` of ``store`` (``sqlite`` or ``postgres``), in order."""
    folder = resources.files(__name__) / store
    found = [(int(f.name.split("_")[0]), f.read_text("utf-8")) for f in folder.iterdir() if f.name.endswith(".sql")]
    return sorted(found)


def newer_schema(version: int, latest: int, **where: str) -> OperatorError:
    """HF223, for every store."""
    return OperatorError(
        "HF223",
        f"the journal has schema {version}, this Holdfast knows {latest} at most",
        cure="Install the newer Holdfast that made it, or name another journal; nothing was changed.",
        **where,
    )

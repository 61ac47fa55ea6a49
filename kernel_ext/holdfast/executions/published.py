"""What an execution gives back: values that its steps published by name."""

from __future__ import annotations

from typing import Any

from holdfast.journal.store import Store
from holdfast.model.entry import Kind


def published(store: Store, execution: str) -> dict[str, Any]:
    """Stored values by name, the last one of each; what a step that was reset has published counts no more.

    Raises:
        StoreError.
    """
    kept: list[tuple[str | None, dict[str, Any]]] = []
    for entry in store.read(execution, kinds=(Kind.PUBLISHED, Kind.STEP_RESET)):
        if entry.kind == Kind.PUBLISHED:
            kept.append((entry.step, entry.data["values"]))
        elif not entry.data.get("keep_calls"):
            kept = [(step, values) for step, values in kept if step != entry.step]
    return {name: value for _, values in kept for name, value in values.items()}


def shown(store: Store, execution: str) -> dict[str, Any]:
    """The same for people and programs elsewhere: JSON types; what is none is named by its kind. Nothing is unpickled.

    Raises:
        StoreError.
    """
    return {name: value["v"] if set(value) == {"v"} else "(a Python object)" for name, value in published(store, execution).items()}

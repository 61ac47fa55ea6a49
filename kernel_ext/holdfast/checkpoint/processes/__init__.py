"""The kinds of process state that checkpoints keep. An honest list, not a complete one: see docs/explanation/checkpoints.md."""

from __future__ import annotations

from holdfast.checkpoint.process import Kind
from holdfast.checkpoint.processes import interpreter, libraries, modules, registries, runtime


def kinds() -> list[Kind]:
    """All kinds that come with Holdfast."""
    return [*interpreter.KINDS, *runtime.KINDS, *libraries.KINDS, *registries.KINDS, *modules.KINDS]

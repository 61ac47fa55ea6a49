"""The recorder of this process, for what authors call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.durable.recorder import Recorder

_current: Recorder | None = None


def install(recorder: Recorder | None) -> None:
    """Make ``recorder`` the one that ``@call``, ``for_each``, ``now`` and rewritten call sites use; None: they do plain work."""
    global _current
    _current = recorder


def recorder() -> Recorder | None:
    """The recorder, or None outside a Holdfast kernel."""
    return _current


def active() -> Recorder | None:
    """The recorder when a cell is being recorded here and no outer call has been, else None."""
    return _current if _current is not None and _current.active else None

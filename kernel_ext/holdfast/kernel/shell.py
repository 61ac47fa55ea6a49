"""IPython's shell with what Holdfast must see of a cell: its error as it is, and a traceback of the author's own frames only."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell

from holdfast.errors import ControlFlow

_PLAIN = (bool, int, float, complex, str, bytes, tuple, frozenset, type(None))  # restored one by one: equal, not identical
_HERE = str(Path(__file__).parent.parent) + "/"


class CellShell(ZMQInteractiveShell):
    """Shows no traceback for Holdfast's own control flow, and leaves Holdfast's frames out of all others."""

    @staticmethod
    def holdfast_hides(error: BaseException) -> bool:
        """Whether the error is Holdfast's own doing; a kernel with an execution puts its own function here."""
        return isinstance(error, ControlFlow)

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Show the error, unless it unwinds the cell on Holdfast's behalf: the kernel then says what it is about."""
        value = exc_tuple[1] if exc_tuple is not None else sys.exc_info()[1]
        if value is not None and self.holdfast_hides(value):
            self._last_traceback = []
            return
        if value is not None:
            clean(value)
            exc_tuple = (type(value), value, value.__traceback__)
        super().showtraceback(exc_tuple, *args, **kwargs)


def adopt_results(shell: Any) -> None:
    """Let IPython know the last results (``_`` and kin) that were restored as its own: it takes a ``_`` that it did not set for the
    author's, and would never set it again."""
    hook, namespace = shell.displayhook, shell.user_ns
    history = namespace.get("_oh")
    if not history or "_" not in namespace or getattr(hook, "_", None) is namespace["_"]:
        return
    last = history[max(history)]
    if namespace["_"] is last or (type(last) in _PLAIN and type(namespace["_"]) is type(last) and namespace["_"] == last):
        for name in ("_", "__", "___"):
            value = namespace.get(name, "")
            setattr(hook, name, value)
            shell.user_ns_hidden[name] = value


def clean(error: BaseException, seen: set[int] | None = None) -> None:
    """Take Holdfast's frames out of the tracebacks of ``error`` and of what led to it."""
    seen = set() if seen is None else seen
    if id(error) in seen:
        return
    seen.add(id(error))
    error.__traceback__ = without_own_frames(error.__traceback__)
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        if isinstance(other, BaseException):
            clean(other, seen)


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without frames of this package; as it was when there are no others."""
    frames: list[TracebackType] = []
    step = trace
    while step is not None:
        if not step.tb_frame.f_code.co_filename.startswith(_HERE):
            frames.append(step)
        step = step.tb_next
    if not frames:
        return trace
    made: TracebackType | None = None
    for one in reversed(frames):
        made = TracebackType(made, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return made

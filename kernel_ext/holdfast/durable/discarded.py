"""Whether the author throws away what a call returns: ``confirm("...")`` as a statement of its own, as opposed to ``if confirm("..."):``.

The instruction that follows the call in the author's bytecode says so. This is sound in cells, functions and modules alike: what is stored,
tested, returned or passed on is used; what is popped, or only shown as a cell's value, is not.
"""

from __future__ import annotations

import dis
import sys
from pathlib import Path
from types import FrameType
from typing import Any

_HERE = str(Path(__file__).resolve().parent.parent)


def discarded(*, shown: bool = False) -> bool:
    """Whether the value of the author's call that led here is thrown away. Holdfast's own frames, and IPython's, are stepped over.

    Args:
        shown: one that is shown as the cell's value counts as used.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    if frame is None:
        return False
    following = _after(frame)
    if following is None:
        return False
    if following.opname == "POP_TOP":
        return True
    printed = following.opname == "PRINT_EXPR" or (following.opname == "CALL_INTRINSIC_1" and following.argrepr == "INTRINSIC_PRINT")
    return printed and not shown


def _is_ours(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__") or "")
    return frame.f_code.co_filename.startswith(_HERE) or name.partition(".")[0] in ("IPython", "holdfast")


def _after(frame: FrameType) -> Any:
    """The instruction behind the one that ``frame`` is at."""
    later = (i for i in dis.get_instructions(frame.f_code) if i.offset > frame.f_lasti)  # which may be at a cache entry of the call
    return next((i for i in later if i.opname not in ("CACHE", "NOP", "EXTENDED_ARG")), None)

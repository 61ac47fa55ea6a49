"""Named points where tests cut the power, for drivers outside; see :mod:`holdfast.foundation.faults`."""

from __future__ import annotations

from holdfast.foundation.faults import point

__all__ = ["point"]

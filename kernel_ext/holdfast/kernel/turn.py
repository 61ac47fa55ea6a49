"""One request's way through the kernel: what was decided for it, and what became of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from holdfast.durable.cell import Summary
    from holdfast.kernel.notices import Bundle
    from holdfast.kernel.outputs import OutputLog
    from holdfast.kernel.records import CellRecord
    from holdfast.kernel.request import CellRequest

Plan = Literal["run", "skip", "leave_out", "evaluate", "refuse"]


@dataclasses.dataclass
class Turn:
    """``plan``: run the cell; skip it (republish its record); leave it out (tagged skip, ``when`` false); evaluate the engine's
    ``when``; or refuse it, because it could not be recorded."""

    plan: Plan
    code: str = ""
    request: CellRequest | None = None
    record: CellRecord | None = None  # what a skip republishes
    error: BaseException | None = None  # why it is refused
    attempt: int = 1
    edited: bool = False  # the cell was recorded with another source
    repeated: bool = False  # the very same attempt was begun before
    notices: list[Bundle] = dataclasses.field(default_factory=list)  # to be shown above the cell's own output
    log: OutputLog | None = None
    summary: Summary | None = None
    started_at: float = 0.0
    count_before: int | None = None  # the shell's execution count when a skip was decided
    told: dict[str, Any] = dataclasses.field(default_factory=dict)  # metadata.holdfast of the reply

    @property
    def asked(self) -> CellRequest:
        """The request of a turn that is not refused."""
        assert self.request is not None
        return self.request

"""Hold, then suspend: how everything waits that a cell waits for.

A matter (prompt, timer, signal, child) is opened once, with an absolute due time, whatever crashes: its key is made of the call's. While it
is open the kernel is held for up to ``hold_for`` seconds; beyond that ``Suspend`` unwinds the cell and the process may end. The matter's
end is an entry of the journal that only one can write; whoever writes it closes the matter and makes the execution due.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from holdfast.errors import Cancel, Suspend
from holdfast.executions.requests import REQUEST_KINDS, open_requests
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.journal.errors import OnceTaken
from holdfast.model.entry import Draft, Entry, Kind, Pending

if TYPE_CHECKING:
    from holdfast.durable.interceptor import Attempt
    from holdfast.durable.recorder import Recorder

T = TypeVar("T")

#: Seconds between two looks at the journal while the kernel is held.
LOOK = 0.2

#: Lets the kernel do other things for so many seconds at most.
Pause = Callable[[float], None]


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """Something open that the cell waits for."""

    kind: str  # "prompt" | "timer" | "signal" | "child"
    key: str  # of the pending matter
    reason: str  # for people
    opened_at: float  # seconds since the epoch
    due_at: float | None = None  # when it ends at the latest
    certain: bool = False  # it ends at ``due_at`` and not before: when that is far away there is no use in holding the kernel
    attended: bool = False  # somebody sits before it who can end it: the kernel is held as long as that takes
    details: dict[str, Any] = {}  # for ``Suspend``: ``prompt``


def matter_key(attempt: Attempt) -> str:
    """A name for what this attempt at a call waits for: the same after a crash, another for a later attempt."""
    return attempt.call if attempt.number <= 1 else f"{attempt.call}.{attempt.number}"


def open_once(
    recorder: Recorder, kind: Kind, matter: str, key: str, body: Mapping[str, Any], *, step: str | None, due_at: float | None
) -> tuple[dict[str, Any], float]:
    """Open a matter; when this very one is there already, open or ended, nothing is written.

    Args:
        recorder: of the running cell.
        kind: of the entry.
        matter: ``timer``, ``signal`` or ``child``.
        key: see :func:`matter_key`.
        body: of the entry and of the pending matter.
        step: that waits.
        due_at: seconds since the epoch.

    Returns:
        the body as it was first written, and when that was.

    Raises:
        Fenced, StoreError.
    """
    recorder.flush()
    packed = recorder.encode(dict(body))
    pending = Pending(execution=recorder.execution, kind=matter, key=key, due_at=due_at, body=packed)
    try:
        recorder.writer.append(kind, packed, step=step, key=key, once=f"{matter}:{key}:open", opens=(pending,))
    except OnceTaken as taken:
        return taken.entry.data, taken.entry.at
    return dict(body), clock.now()


def end_once(recorder: Recorder, kind: Kind, matter: str, key: str, body: Mapping[str, Any], *, step: str | None) -> Entry:
    """Write the end of a matter and close it; when it has ended already, that end stands and is returned.

    Raises:
        Fenced, StoreError.
    """
    once = f"{matter}:{key}:end"
    draft = Draft(kind=kind, step=step, key=key, body=body, actor=recorder.writer.actor, once=once)
    try:
        recorder.writer.append_all((draft,), closes=(key,))
    except OnceTaken as taken:
        return taken.entry
    entry = recorder.writer.store.find_once(recorder.execution, once)
    assert entry is not None
    return entry


def hold(
    recorder: Recorder,
    matter: Matter,
    look: Callable[[], T | None],
    *,
    tick: Callable[[], None] | None = None,
    busy: Callable[[], bool] | None = None,
) -> T:
    """Wait for the end of ``matter``; call it in the ``do`` of ``Recorder.perform``.

    The kernel is held, serving its front-ends, while the matter may soon end: up to ``hold_for`` seconds from its opening (in a kernel
    that a person sits at: from now). An interrupt, a pause and a cancellation get through.

    Args:
        recorder: of the running cell.
        matter: is open.
        look: asks the journal for the end; None: not yet. It also has to write the end when the time is up (``due_at``). Called every
            fifth of a second, and when the time is up.
        busy: says that the kernel is held in any case for now; asked when it would not be held any longer.
        tick: called after each look that found nothing, in the same thread (a countdown, say).

    Returns:
        what ``look`` found.

    Raises:
        Suspend: the kernel is not to be held any longer, or a pause was asked for; ``details``: ``waiting_for``, ``due_at``, ``matter``
        and the matter's own.
        Cancel: the execution is to end. Fenced, StoreError.
    """
    given_up = _give_up_at(recorder, matter)
    requests = _Requests(recorder)
    point("wait.holding")
    with recorder.while_waiting() as pause:
        while True:
            found = look()
            if found is not None:
                return found
            requests.heed(matter)
            now = clock.now()
            if now >= given_up and (busy is None or not busy()):
                raise suspension(recorder, matter, matter.reason)
            if tick is not None:
                tick()
            left = [t - now for t in (given_up, matter.due_at) if t is not None and t > now]
            pause(max(0.001, min(LOOK, *left)) if left else LOOK)


def _give_up_at(recorder: Recorder, matter: Matter) -> float:
    now = clock.now()
    if matter.attended:
        return float("inf")
    if matter.certain and matter.due_at is not None:
        return matter.due_at + 1.0 if matter.due_at - now <= recorder.hold else now
    return (now if recorder.attended else max(matter.opened_at, now - recorder.hold)) + recorder.hold


def suspension(recorder: Recorder, matter: Matter, reason: str) -> Suspend:
    """The ``Suspend`` of a cell that waits for ``matter``."""
    cell = recorder.cell
    if cell is not None:
        cell.matters[matter.key] = None
    step = cell.context.step if cell is not None else None
    return Suspend(reason, waiting_for=matter.kind, due_at=matter.due_at, matter=matter.key, step=step, **matter.details)


class _Requests:
    """What people ask of the execution meanwhile. With an engine above, it hears them too and knows what to do with the suspended cell."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._entries = recorder.writer.store.read(recorder.execution, kinds=REQUEST_KINDS)

    def heed(self, matter: Matter) -> None:
        recorder, entries = self._recorder, self._entries
        entries += recorder.writer.store.read(recorder.execution, after=entries[-1].seq if entries else 0, kinds=REQUEST_KINDS)
        asked = open_requests(entries)
        for one in asked:
            if one.what == "cancel":
                raise Cancel(f"cancelled by {one.who or 'somebody'}" + (f": {one.why}" if one.why else ""))
        if asked:
            raise suspension(recorder, matter, f"paused; it waits for: {matter.reason}")


@contextlib.contextmanager
def sleeping() -> Iterator[Pause]:
    """How a thread waits in which no front-end is served."""
    yield clock.sleep

"""``signal``: waiting for a named message from outside."""

from __future__ import annotations

from typing import Any

from holdfast.durable import canonical, current
from holdfast.durable.interceptor import Attempt, Request
from holdfast.durable.recorder import Recorder
from holdfast.durable.timers import Length, seconds_of
from holdfast.durable.waiting import Matter, hold, matter_key
from holdfast.errors import AuthorError, CallError
from holdfast.executions.signals import matter as pending_key
from holdfast.foundation import clock, durations
from holdfast.foundation.faults import point
from holdfast.journal.errors import OnceTaken
from holdfast.model.call import Effect
from holdfast.model.entry import Draft, Entry, Kind, Pending

_NOTHING = object()


def signal(name: str, *, timeout: Length | None = None, default: Any = _NOTHING) -> Any:
    """Wait for a signal of this name and return its payload. Signals are kept from when they were sent, also before the wait; each is
    taken once, in the order in which they came. ``holdfast signal EXECUTION NAME --value JSON`` sends one.

    Args:
        name: of the signal.
        timeout: how long to wait, as for ``wait``; for ever by default. Absolute once the wait has begun.
        default: returned when the time is up.

    Returns:
        the payload: JSON types.

    Raises:
        CallError: HF320, the time is up and there is no default.
        AuthorError: HF157 the timeout is no length of time, HF159 called where nothing is recorded.
        Suspend: the execution goes on when the signal comes.
    """
    __tracebackhide__ = True
    if not isinstance(name, str) or not name:
        raise AuthorError("HF157", f"{name!r} is no name of a signal", cure="Give a text.")
    seconds = None if timeout is None else seconds_of(timeout, "timeout")
    recorder = here(current.active(), "signal")
    if recorder.cell is not None and recorder.cell.context.dry_run:
        return None if default is _NOTHING else default
    request = Request(
        kind="signal", operation=f"signal({name!r})", fingerprint=canonical.digest(["signal", name]), effect=Effect.READ, kept=True
    )
    got = recorder.perform(request, lambda attempt: _Wait(recorder, attempt, name, seconds, default is _NOTHING).run())
    return got["value"] if got["came"] else default


def here(recorder: Recorder | None, verb: str) -> Recorder:
    """The recorder of the running cell.

    Raises:
        AuthorError: HF159, there is none.
    """
    if recorder is None or recorder.cell is None:
        raise AuthorError(
            "HF159",
            f"`{verb}` was called where nothing is recorded",
            cure="Call it in a cell of a Holdfast kernel, and not inside a function marked `@call`.",
        )
    return recorder


class _Wait:
    """One wait for one signal."""

    def __init__(self, recorder: Recorder, attempt: Attempt, name: str, seconds: float | None, strict: bool) -> None:
        self._recorder, self._attempt, self._name, self._seconds, self._strict = recorder, attempt, name, seconds, strict
        self._key = matter_key(attempt)
        self._received: dict[int, Entry] = {}
        self._taken: set[int] = set()
        self._after = 0
        self._mine: Entry | None = None
        self._found: Entry | None = None
        self._due_at: float | None = None

    def run(self) -> dict[str, Any]:
        since = self._open()
        reason = f"waits for the signal {self._name!r}" + (f" until {clock.iso(self._due_at)}" if self._due_at is not None else "")
        matter = Matter(kind="signal", key=pending_key(self._name), reason=reason, opened_at=since, due_at=self._due_at)
        end = self._found or hold(self._recorder, matter, self._look)
        if end.data.get("seq") is None and self._strict:
            raise CallError(
                "HF320",
                f"no signal {self._name!r} came within {durations.text(self._seconds or 0.0)}",
                cure="Send it and resume, or give `signal` a default.",
                step=self._attempt.step,
                execution=self._attempt.execution,
            )
        return {"came": end.data.get("seq") is not None, "value": end.data.get("value")}

    def _open(self) -> float:
        """Open the matter, or again when the signal that closed it went to another wait of this name."""
        recorder, name = self._recorder, self._name
        recorder.flush()
        known = recorder.writer.store.find_once(recorder.execution, f"signal:{self._key}:open")
        now = clock.now()
        due_at = None if self._seconds is None else now + self._seconds
        body: dict[str, Any] = known.data if known else {"name": name, "since": now, "due_at": due_at}
        self._due_at = body["due_at"]
        packed = recorder.encode(body)
        opens = [Pending(execution=recorder.execution, kind="signal", key=pending_key(name), body=packed)]
        if self._due_at is not None:
            opens.append(Pending(execution=recorder.execution, kind="timer", key=self._key, due_at=self._due_at, body=packed))
        self._found = self._look() if known else None  # it may have come while no process lived
        if self._found is not None:
            return float(body["since"])
        there = {p.key for p in recorder.writer.store.pending(execution=recorder.execution)}
        if known is None or not {p.key for p in opens} <= there:
            once = None if known else f"signal:{self._key}:open"
            recorder.writer.append(Kind.SIGNAL_AWAITED, body, step=self._attempt.step, key=self._key, once=once, opens=opens)
        return float(body["since"])

    def _look(self) -> Entry | None:
        recorder = self._recorder
        for entry in recorder.writer.store.read(recorder.execution, after=self._after, kinds=(Kind.SIGNAL_RECEIVED, Kind.SIGNAL_TAKEN)):
            self._after = entry.seq
            if entry.kind == Kind.SIGNAL_RECEIVED and entry.key == self._name:
                self._received[entry.seq] = entry
            elif entry.kind == Kind.SIGNAL_TAKEN:
                self._taken.add(entry.data.get("seq") or 0)
                if entry.key == self._key:
                    self._mine = entry
        if self._mine is not None:  # taken by this very wait, before a crash
            return self._mine
        for seq in sorted(self._received.keys() - self._taken):
            found = self._take({"seq": seq, "value": self._received[seq].data.get("value")}, f"signal:{seq}:taken")
            if found is not None:
                return found
            self._taken.add(seq)
        if self._due_at is not None and clock.now() >= self._due_at:
            return self._take({"seq": None}, f"signal:{self._key}:end")
        return None

    def _take(self, body: dict[str, Any], once: str) -> Entry | None:
        """Take a signal, or write that none came; None when another wait was first."""
        recorder = self._recorder
        point("signal.before_take")
        draft = Draft(kind=Kind.SIGNAL_TAKEN, step=self._attempt.step, key=self._key, body=body, actor=recorder.writer.actor, once=once)
        try:
            recorder.writer.append_all((draft,), closes=(self._key, pending_key(self._name)))
        except OnceTaken as taken:
            return taken.entry if taken.entry.key == self._key else None
        point("signal.after_take")
        return recorder.writer.store.find_once(recorder.execution, once)

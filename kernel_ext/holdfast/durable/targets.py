"""``targets``: what a runbook is about to act on, chosen once, read again when it has grown old. ``changing``: how a thing looked before
and after."""

from __future__ import annotations

import contextlib
import datetime
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, overload

from holdfast.durable import canonical, current
from holdfast.durable.acting import Acting, acting_on, lane_here, too_old
from holdfast.durable.calls import for_people
from holdfast.durable.interceptor import Attempt, Request
from holdfast.durable.lanes import HERE, Here
from holdfast.durable.values import text_of
from holdfast.errors import AuthorError, GuardrailError
from holdfast.foundation import clock, durations
from holdfast.guardrails.targets import label_of
from holdfast.journal.errors import OnceTaken
from holdfast.model.call import Effect
from holdfast.model.entry import Kind
from holdfast.model.guardrail import Guardrail, Span

if TYPE_CHECKING:
    from holdfast.durable.active import ActiveCell
    from holdfast.durable.lanes import Lane
    from holdfast.durable.recorder import Recorder

_SHOWN = 1000  # names that the journal keeps of a set


class Targets(Sequence[Any]):
    """Things chosen to be acted on. It may shrink when it is read again, and never grows: what was not there when a person looked at
    the plan is not touched.

    Args:
        name: of the set, for people.
        read: lists all there is; only reads.
        where: chooses.
        key: what identifies a thing.
        max_age: seconds, or a length of time, after which it is read again before anything is changed.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterable[Any]],
        where: Callable[[Any], bool] | None,
        key: Callable[[Any], Any] | None,
        max_age: Span | None,
    ) -> None:
        self.name, self._read, self._where, self._key, self.max_age = name, read, where, key, max_age
        self.items: list[Any] = []
        self.total = 0  # how many there were to choose from
        self.read_at = 0.0  # seconds since the epoch
        self.gone: list[str] = []  # names of what was chosen and is not there any more

    def label(self, item: Any) -> str:
        """A thing's name."""
        return str(self._key(item)) if self._key is not None else label_of(item)

    @property
    def labels(self) -> list[str]:
        """The names of all."""
        return [self.label(item) for item in self.items]

    @property
    def age(self) -> float:
        """Seconds since it was read."""
        return clock.now() - self.read_at

    def take(self, everything: dict[str, Any]) -> None:
        """What :meth:`look` found."""
        self.items, self.total, self.read_at = list(everything["items"]), everything["total"], everything["at"]

    def look(self, attempt: Attempt | None, lane: Lane | None = None, cell: ActiveCell | None = None) -> dict[str, Any]:
        """Read now. Within a recorded cell the reading may only read."""
        here = HERE.get()
        lane, cell = lane or (here.lane if here else None), cell or (here.cell if here else None)
        token = HERE.set(Here(True, attempt, lane, cell, reading=True)) if lane is not None or cell is not None or attempt else None
        at = clock.now()
        try:
            everything = list(self._read())
            chosen = everything if self._where is None else [i for i in everything if self._where(i)]
        finally:
            if token is not None:
                HERE.reset(token)
        return {"items": chosen, "total": len(everything), "at": at}

    def read_again(self, recorder: Recorder, lane: Lane, cell: ActiveCell) -> list[str]:
        """At the moment of a change: read now, and let go what is not there any more. Returns the names of what went.

        Raises:
            GuardrailError: HF808, they cannot be read.
        """
        try:
            now = self.look(None, lane, cell)
        except Exception as error:
            raise GuardrailError(
                "HF808",
                f"the {self.name} were read at {clock.iso(self.read_at)} and cannot be read again: {text_of(error)}",
                cure="Mend what keeps them from being read; then resume.",
                guardrail=str(Guardrail.AGE),
                step=cell.context.step,
            ) from error
        there = {self.label(item) for item in now["items"]}
        gone = [label for label in self.labels if label not in there]
        self.items = [item for item in self.items if self.label(item) in there]
        self.read_at = now["at"]
        self.gone += gone
        body = {"count": len(self.items), "gone": gone[:_SHOWN], "at": self.read_at}
        recorder.writer.append(Kind.TARGETS_REREAD, body, step=cell.context.step, key=self.name)
        return gone

    def __iter__(self) -> Iterator[Any]:
        """One after the other; changes made meanwhile are made to that one."""
        for item in list(self.items):
            label = self.label(item)
            self._renew()
            if label in self.gone:
                sys.stderr.write(f"{label} is gone since it was chosen; left out\n")
                continue
            with acting_on(Acting(label, among=self)):
                yield item

    def _renew(self) -> None:
        """Read again before the next one, when that is due; not while recorded changes are gone through again, which made things go."""
        recorder, lane = current.active(), lane_here()
        if recorder is None or recorder.cell is None or lane is None or not too_old(recorder, self):
            return
        if recorder.cell.context.mode == "restore":  # it goes over what it went over then
            return
        with recorder.cell.lock:
            replaying = bool(recorder.cell.index.leftovers(lane.here()))
        if not replaying:
            self.read_again(recorder, lane, recorder.cell)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<{len(self.items)} of {self.total} {self.name}, read at {clock.iso(self.read_at)}>"


def targets(
    read: Callable[[], Iterable[Any]],
    *,
    where: Callable[[Any], bool] | None = None,
    name: str | None = None,
    key: Callable[[Any], Any] | None = None,
    max_age: float | str | datetime.timedelta | None = None,
) -> Targets:
    """Choose what to act on, once. Go over what it returns (a loop, or ``for_each``): then each change is known by its target, caps by
    number and share know how many there are, and a set older than ``max_age`` is read again before anything is changed.

    Args:
        read: lists all there is; called without arguments, may only read.
        where: chooses from it; all by default.
        name: of the set, for people; the function's name by default.
        key: what identifies a thing (called with it); by default its id or name.
        max_age: seconds or a length of time; ``limits.max_age`` of the runbook counts besides.

    Raises:
        AuthorError: HF157 ``max_age`` is no length of time, HF163 reading would change something; HF165 the things cannot be stored.
    """
    shown = name or getattr(read, "__name__", "targets").strip("<>")
    try:
        limit = None if max_age is None else durations.seconds(max_age)
    except ValueError as error:
        raise AuthorError("HF157", f"max_age: {error}", cure='Write seconds, or a length of time such as "15 min".') from None
    made = Targets(shown, read, where, key, limit)
    recorder = current.active()
    if recorder is None:
        made.take(made.look(None))
        return made
    request = Request(kind="targets", operation=f"targets({shown})", fingerprint=canonical.digest(["targets", shown]), effect=Effect.READ)
    made.take(recorder.perform(request, made.look))
    if recorder.cell is not None:
        recorder.cell.targets.append(made)
    return made


@contextmanager
def changing(target: Any, *, read: Callable[[], Any] | None = None, why: str = "") -> Iterator[None]:
    """Changes made in this context are made to ``target``, for ``why``; with ``read``, how it looked before and after is kept with them.

    Args:
        target: a name, or a thing that has one.
        read: tells how it looks; called without arguments before and after, may only read. JSON types.
        why: the reason, for the record.
    """
    among = lane.acting.among if (lane := lane_here()) is not None and lane.acting is not None else None
    label = among.label(target) if among is not None and target in among.items else label_of(target)
    acting = Acting(label, among=among, why=why, before=_look(label, "before", read))
    with acting_on(acting):
        try:
            yield
        except Exception:
            with contextlib.suppress(Exception):
                _seen(acting, read)
            raise
    _seen(acting, read)


def _look(label: str, when: str, read: Callable[[], Any] | None) -> Any:
    """How the target looks, as one recorded reading."""
    if read is None:
        return None
    recorder = current.active()
    if recorder is None:
        return read()
    function = read

    def do(attempt: Attempt) -> Any:
        here = HERE.get()
        token = HERE.set(Here(True, attempt, here.lane if here else None, here.cell if here else None, reading=True))
        try:
            return function()
        finally:
            HERE.reset(token)

    operation = f"look at {label} {when}"
    request = Request(
        kind="look", operation=operation, fingerprint=canonical.digest([operation]), effect=Effect.READ, kept=when == "before"
    )
    return shown(recorder.perform(request, do))


def _seen(acting: Acting, read: Callable[[], Any] | None) -> None:
    """Keep how it looks now, once."""
    recorder = current.active()
    if recorder is None or read is None or not acting.calls or recorder.cell is None or recorder.cell.context.dry_run:
        return
    step = recorder.cell.context.step
    body = {"after": recorder.redact(_look(acting.label, "after", read)), "calls": acting.calls}
    with contextlib.suppress(OnceTaken):
        recorder.flush()
        recorder.writer.append(Kind.EFFECT_SEEN, body, step=step, key=acting.label, once=f"seen:{step}:{acting.calls[-1]}")


def shown(value: Any) -> Any:
    """A value as the record keeps it for people: JSON types, long texts cut."""
    if isinstance(value, dict):
        return {str(k): shown(v) for k, v in list(value.items())[:_SHOWN]}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [shown(v) for v in list(value)[:_SHOWN]]
    return for_people(value)

"""A durable cell from its start to its record."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from holdfast.checkpoint.report import Flag
from holdfast.durable.acting import note_sets
from holdfast.durable.cell import CellContext
from holdfast.errors import Cancel, ControlFlow, Fenced, HoldfastError, Suspend, TerminalError
from holdfast.foundation import clock, faults
from holdfast.kernel import notices
from holdfast.kernel.deciding import when_is_false
from holdfast.kernel.live import LiveTeller
from holdfast.kernel.outputs import Output, OutputLog
from holdfast.kernel.records import label, stored
from holdfast.kernel.session import Session
from holdfast.kernel.shell import adopt_results
from holdfast.kernel.state import namespace_of
from holdfast.kernel.turn import Turn
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Status
from holdfast.prompts.listing import get


class Lifecycle:
    """Carries turns through; remembers what spans cells.

    Args:
        session: of this kernel.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._displays: set[str] = set()
        self._widgets: dict[str, list[dict[str, Any]]] = {}
        self._live = LiveTeller(session)

    # -- skip

    def restore(self, turn: Turn) -> list[Output]:
        """Bring the state of a recorded cell in; returns the outputs to publish."""
        session, request, record = self.session, turn.asked, turn.record
        assert record is not None
        here = session.state.has(record)
        if request.apply and not here:
            session.state.apply([*session.state.needed_before(request, session.book, record), record])
        for output in (outputs := record.outputs(session.store)):
            name = (output["content"].get("transient") or {}).get("display_id")
            if isinstance(name, str):
                self._displays.add(name)
        turn.told = {"state": "skipped", "step": request.step, "execution": session.book.execution}
        return outputs

    # -- run

    def start(self, turn: Turn, message_id: str, python: str) -> None:
        """Make all ready for the cell: the state it starts from, the recorder.

        Args:
            message_id: of the request; outputs that name it are the cell's.
            python: the cell's source with IPython's syntax transformed away.
        """
        session, request = self.session, turn.asked
        held = session.ready()
        with session.recorder.passthrough():
            session.state.apply(session.state.needed_before(request, session.book, None))
            if when_is_false(session, turn):
                return
            doubts = session.state.settle(request)
            if doubts:
                turn.notices.append(notices.doubtful(doubts))
            session.state.checkpointer.before_cell(python)
            adopt_results(session.shell)
        completed = frozenset(r.key for r in session.book.of_step(request.step) if r.key != request.key)
        session.recorder.begin(
            CellContext(
                step=request.step,
                cell=request.key,
                source_digest=request.digest,
                step_attempt=turn.attempt,
                mode="new_attempt" if turn.attempt > 1 else "first",
                edited=turn.edited,
                policy=request.policy,
                dry_run=session.config.dry_run,
                undoes=request.teardown_of is not None,
                ancestors=request.ancestors if request.engine else None,
                completed=completed,
            )
        )
        note_sets(session.recorder, namespace_of(session.shell), python)
        turn.log = OutputLog(message_id, self._displays, self._widgets)
        turn.started_at = clock.now()
        self._live.follow(turn.log, request.step, request.key, turn.started_at)
        held.running = True

    def stop(self, turn: Turn) -> None:
        """The cell has ended, however it did: no more calls are its."""
        if self.session.holding is not None:
            self.session.holding.running = False
        turn.summary = self.session.recorder.end()

    def finish(self, turn: Turn, error: BaseException | None, count: int) -> None:
        """Record what became of the cell and say so in ``turn.told``.

        Raises:
            HoldfastError: it could not be recorded.
            Fenced: another worker has the execution.
        """
        held = self.session.holding
        assert held is not None
        turn.told = {"step": turn.asked.step, "execution": held.header.id, "attempt": turn.attempt}
        if turn.summary is not None:
            turn.told["calls"] = turn.summary.calls
            if turn.summary.plan:
                turn.told["plan"] = msgspec.to_builtins(turn.summary.plan)
        error = self._swallowed(turn) if error is None else error
        with uninterrupted(), self.session.recorder.passthrough():
            try:
                if isinstance(error, ControlFlow):
                    self._unwound(turn, error)
                elif error is None or turn.asked.expects_error:
                    self._completed(turn, error, count)
                else:
                    self._failed(turn, error)
            except Fenced as lost:
                self._unwound(turn, lost)

    def _completed(self, turn: Turn, error: BaseException | None, count: int) -> None:
        session, request, summary = self.session, turn.asked, turn.summary
        assert turn.log is not None
        assert summary is not None
        assert session.holding is not None
        try:
            capture = session.state.checkpointer.capture(label(request.key, request.digest, turn.attempt), renewed=request.role != "cell")
        except Exception as broken:
            session.broken = broken
            raise
        body: dict[str, Any] = {
            "source": request.code,
            "source_digest": request.digest,
            "parameters_digest": request.parameters_digest,
            "outputs": stored(turn.log.events(), session.store),
            "execution_count": count,
            "calls": summary.calls,
            "attempt": turn.attempt,
            "last": self._is_last(turn),
            "started_at": turn.started_at,
            "ended_at": clock.now(),
        }
        if request.role == "cell":
            body["delta"], body["label"] = capture.delta, str(capture.label)
            body["flags"] = msgspec.to_builtins(capture.flags)
        elif self._known(turn):
            self._commit_without_record(summary.drafts)
            turn.told["state"] = "ran"
            return
        residue = session.state.residue
        if residue:
            body["residue"] = [[name, delta] for name, delta, _ in residue]
            body["residue_sources"] = [[name, source] for name, _, source in residue]
        if error is not None:
            body["error"] = self.session.recorder.redactor.shroud(described(error))
        drafts = [
            *summary.drafts,
            Draft(kind=Kind.CELL_COMPLETED, step=request.step, key=request.key, body=body, actor=session.holding.writer.actor),
        ]
        change = self._end_if_complete(turn, drafts)
        faults.point("checkpoint.before_commit")
        session.commit(drafts, change)  # a record that cannot be written now is written before the next cell: nothing is forgotten
        faults.point("step.after_commit")
        self._live.recorded()
        self._tell(turn, capture.flags)
        turn.told["state"] = "ran"

    def _tell(self, turn: Turn, flags: Sequence[Flag]) -> None:
        """Tell an author at the notebook what the record cannot promise. In batch it is in the journal: outputs are the author's."""
        if self.session.place.path is None or turn.asked.engine or turn.summary is None:
            return
        if flags:
            turn.notices.append(notices.flagged(flags))
        if turn.summary.orphaned:
            turn.notices.append(notices.orphaned(turn.summary.orphaned))
        if turn.summary.undeclared:
            turn.notices.append(notices.undeclared(turn.summary.undeclared))

    def _known(self, turn: Turn) -> bool:
        request = turn.asked
        record = self.session.book.find(request.step, request.key)
        return record is not None and record.digest == request.digest

    def _commit_without_record(self, drafts: tuple[Draft, ...]) -> None:
        if drafts and self.session.holding is not None:
            self.session.holding.writer.append_all(drafts)

    def _is_last(self, turn: Turn) -> bool:
        request = turn.asked
        if request.engine:
            return request.last
        cells = [c for c in self.session.place.cells_of(request.step) if c.source.strip()]
        return not cells or cells[-1].id == request.key

    def _end_if_complete(self, turn: Turn, drafts: list[Draft]) -> Change | None:
        """In an interactive execution the last missing cell ends it, and a cell that comes after the end takes it up again."""
        held, request = self.session.holding, turn.asked
        if held is None or not held.own:
            return None
        if request.role == "cell" and self.session.complete(request.step, request.key, request.digest):
            drafts.append(Draft(kind=Kind.EXECUTION_SUCCEEDED, body={}, actor=held.writer.actor))
            return Change(status=Status.SUCCEEDED, reason="")
        return self._take_up(drafts)

    def _take_up(self, drafts: list[Draft]) -> Change | None:
        """A cell after the end of an interactive execution takes it up again."""
        held = self.session.holding
        if held is None or not held.own or not held.ended:
            return None
        drafts.insert(0, Draft(kind=Kind.EXECUTION_RESUMED, body={"why": "a cell was added or changed"}, actor=held.writer.actor))
        return Change(status=Status.RUNNING, reason="")

    def _failed(self, turn: Turn, error: BaseException) -> None:
        session, request, summary = self.session, turn.asked, turn.summary
        assert turn.log is not None
        assert summary is not None
        assert session.holding is not None
        said = self.session.recorder.redactor.shroud(described(error))
        body = {
            "attempt": turn.attempt,
            "cell": request.key,
            "source": request.code,
            "source_digest": request.digest,
            "error": said,
            "outputs": stored(turn.log.events(), session.store),
            "started_at": turn.started_at,
            "ended_at": clock.now(),
        }
        if isinstance(error, TerminalError):
            body["terminal"] = True
        failed = Draft(kind=Kind.STEP_FAILED, step=request.step, key=request.key, body=body, actor=session.holding.writer.actor)
        drafts = [*summary.drafts, failed]
        change = self._take_up(drafts)
        session.holding.writer.append_all(drafts, change=change)
        self._live.recorded()
        if change is not None:
            session.holding.took(Status.RUNNING)
        turn.told |= {"state": "failed", "error": said, "terminal": isinstance(error, TerminalError)}
        if request.engine:
            turn.told["rolled_back"] = session.state.undo()
        else:
            session.state.failed(label(request.key, request.digest, turn.attempt), request.code)

    def _unwound(self, turn: Turn, error: ControlFlow) -> None:
        """Suspend, Cancel, Fenced: nothing failed, nothing is recorded but what the recorder keeps."""
        session, request, summary = self.session, turn.asked, turn.summary
        assert summary is not None
        assert session.holding is not None
        if isinstance(error, Fenced):
            self.fenced(turn, error)
            return
        self._commit_without_record(summary.drafts)
        self._live.waiting()
        details = {k: v for k, v in error.details.items() if k in ("waiting_for", "prompt", "due_at") and v is not None}
        if isinstance(error, Cancel):
            turn.told |= {"state": "cancelled", "reason": error.reason, **details}
            turn.notices = [notices.cancelled(error.reason)]
            if "declined" in error.details and session.holding.own:  # nobody above this kernel ends the execution
                body = {"reason": error.reason, "who": session.holding.writer.actor, "why": error.reason}
                session.holding.append_state(Kind.EXECUTION_CANCELLED, Status.CANCELLED, body, error.reason)
        else:
            turn.told |= {"state": "suspended", "reason": error.reason, "matters": list(summary.matters), **details}
            turn.notices = (
                []
                if "shown" in error.details
                else [notices.suspended(error.reason, details.get("prompt"), self._verdicts(details.get("prompt")))]
            )
        if not request.engine:
            session.state.failed(label(request.key, request.digest, turn.attempt), request.code)

    def fenced(self, turn: Turn, error: Fenced) -> None:
        """Another worker has the execution: say who."""
        held = self.session.holding
        if held is None:
            return
        held.lost.set()
        header = held.store.header(held.header.id)
        turn.told |= {"state": "fenced", "execution": held.header.id, "reason": str(error)}
        turn.notices = [notices.fenced(held.header.id, _holder(header.owner) or header.reason if header else None)]

    def _swallowed(self, turn: Turn) -> ControlFlow | None:
        """A bare ``except:`` in the cell may have caught what unwinds it: the cell has not ended."""
        if turn.summary is None or self.session.holding is None:
            return None
        if turn.summary.unwound is not None:
            return turn.summary.unwound
        if turn.summary.matters:  # in a thread of the author's
            waits = {p.key: p for p in self.session.store.pending(execution=self.session.holding.header.id)}
            for key in turn.summary.matters:
                if key in waits:
                    kind = waits[key].kind
                    return Suspend(f"a {kind} is waited for", waiting_for=kind, matter=key, prompt=key if kind == "prompt" else None)
        return None

    def _verdicts(self, prompt: str | None) -> tuple[str, ...]:
        """What may be answered to an open prompt."""
        if prompt is None:
            return ()
        try:
            return get(self.session.store, prompt).verdicts
        except HoldfastError:
            return ()


def described(error: BaseException) -> dict[str, Any]:
    """The error as the journal and the engine have it."""
    said: dict[str, Any] = {"type": type(error).__name__, "what": str(error)}
    if isinstance(error, HoldfastError):
        said |= {"code": error.code, "what": error.what, "cure": error.cure}
    return said


def _holder(owner: str | None) -> str | None:
    from holdfast.journal.ownership import described

    return described(owner) if owner else None


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold an interrupt back until the block is done: between running and recording there must be nothing else."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    # An interrupt that came after the cell had ended concerns nothing any more: it is dropped.

"""Decides what becomes of a request: run, skip, leave out, refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.errors import AuthorError
from holdfast.kernel import notices
from holdfast.kernel.records import CellRecord
from holdfast.kernel.request import CellRequest
from holdfast.kernel.session import Session
from holdfast.kernel.turn import Turn
from holdfast.model.entry import Kind
from holdfast.model.manifest import Manifest


def decide(session: Session, code: str, metadata: Mapping[str, Any], cell_id: str | None) -> Turn:
    """What to do with a request that is to be durable.

    Raises:
        HoldfastError: the journal or the execution cannot be had.
        Fenced: the lease was lost.
    """
    session.ready()
    session.catch_up()
    request = session.requests.understand(code, metadata, cell_id)
    if request.role == "when":
        return Turn("evaluate", code, request)
    if request.role == "skip":
        why = "The cell is tagged skip. Remove the tag to run it."
        return Turn("leave_out", code, request, notices=[notices.left_out(request.step, why)])
    book = session.book
    book.refresh()
    if not request.engine:
        skipped = book.skipped(request.step)
        if skipped is not None:
            return Turn("leave_out", code, request, notices=[notices.left_out(request.step, str(skipped.data.get("why") or ""))])
        undone = request.teardown_of
        if undone is not None and undone not in book.failed_steps():  # "Run All" must not undo what has just been done
            why = f"It undoes step {undone}, which has not failed. Remove the tag to run it all the same."
            return Turn("leave_out", code, request, notices=[notices.left_out(request.step, why)])
    record = book.find(request.step, request.key)
    turn = Turn("run", code, request, attempt=max(request.attempt or 1, book.attempts(request.step) + 1))
    if record is None:
        return turn
    same = record.digest == request.digest and record.parameters == request.parameters_digest
    if request.role != "cell":
        return turn  # setup, parameters: run in every kernel, the calls answered from the record
    causes = stale_causes(session, request, record) if same else []
    if same and not causes and not request.always:
        turn.plan, turn.record = "skip", record
        return turn
    turn.edited = record.digest != request.digest
    turn.attempt = max(turn.attempt, record.attempt + 1)
    if causes:
        turn.notices.append(notices.stale(request.step, causes))
    return turn


def stale_causes(session: Session, request: CellRequest, record: CellRecord) -> list[str]:
    """Why a recorded cell no longer holds: steps it reads from, or cells above it in its step, that were recorded after it."""
    if request.engine:
        return []  # the engine resets what an edit makes stale, with the manifest it executes
    later = [r for r in session.book.in_order() if r.seq > record.seq and r.key != record.key]
    if not later:
        return []
    causes = [f"a cell above it in step {r.step}" for r in later if r.step == record.step and _is_above(session, r.key, record.key)]
    if any(r.step == "parameters" for r in later):  # run again unchanged, that cell leaves no record
        causes.append("the edited parameters cell")
    manifest = session.place.manifest
    if any(_concerns(manifest, r.source or "", record.step) for r in later if r.step == "setup"):
        causes.append("an edited setup cell")
    if manifest is not None:
        from holdfast.notebook.dataflow import stale_after

        before = frozenset(manifest.ancestors(record.step))
        others = dict.fromkeys(r.step for r in later if r.step in before)
        causes += [f"step {step}" for step in others if record.step in stale_after(manifest, step)]
    return causes


def _concerns(manifest: Manifest | None, setup: str, step: str) -> bool:
    """Whether a setup cell that now reads ``setup`` sets what the step uses; where that cannot be told, it does."""
    from holdfast.notebook.dataflow import readers_of

    return manifest is None or manifest.step(step) is None or step in readers_of(manifest, setup)


def _is_above(session: Session, one: str, other: str) -> bool:
    above = session.place.above(other)
    return above is not None and one in above


def when_is_false(session: Session, turn: Turn) -> bool:
    """Whether the step's ``when`` says no; then it is recorded as left out. Evaluated with the state the step would start from.

    Raises:
        AuthorError: HF175, the expression fails.
    """
    request = turn.asked
    if request.engine or request.when is None or session.book.of_step(request.step):
        return False
    value = evaluate(session, request.when, request.step)
    if value:
        return False
    why = f"its condition is false: {request.when}"
    held = session.ready()
    held.writer.append(Kind.STEP_SKIPPED, {"why": why, "when": request.when}, step=request.step)
    session.book.refresh()
    turn.plan = "leave_out"
    turn.notices.append(notices.left_out(request.step, why))
    return True


def evaluate(session: Session, expression: str, step: str) -> Any:
    """The value of a ``when`` expression over the namespace.

    Raises:
        AuthorError: HF175, it raises.
    """
    session.state.checkpointer.before_cell(expression)
    try:
        return eval(compile(expression, f"<when of {step}>", "eval"), session.shell.user_global_ns, session.shell.user_ns)
    except Exception as error:
        raise AuthorError(
            "HF175",
            f"the condition of the step fails: {type(error).__name__}: {error}",
            cure="Correct `when`; it is a Python expression over what the steps before have set.",
            step=step,
            when=expression,
        ) from error

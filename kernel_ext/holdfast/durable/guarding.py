"""Each change passes the execution's guard before it is begun; one that is refused is recorded as a failed call that was never made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.durable import verdicts
from holdfast.durable.acting import destroys, population_here, target_here, too_old
from holdfast.errors import GuardrailError
from holdfast.foundation import clock
from holdfast.guardrails.counting import Change
from holdfast.model.call import Effect
from holdfast.model.entry import Draft, Kind
from holdfast.model.guardrail import Guardrail

if TYPE_CHECKING:
    from holdfast.durable.acting import Acting
    from holdfast.durable.conduct import Call
    from holdfast.durable.recorder import Recorder


def guarded(recorder: Recorder, call: Call) -> None:
    """Let the change pass, and note in ``call.marks`` what its intent says of it: target, before, why, on whose word.

    Raises:
        GuardrailError: HF8xx, it must not be made. OperatorError: HF283. StoreError.
    """
    acting, policy = call.lane.acting, call.cell.context.policy
    target = target_here(call)
    destructive = destroys(call)
    call.marks = _marks(recorder, acting, target, destructive)
    guard = recorder.guard
    try:
        if call.effect == Effect.READ:  # declared so by the step
            if destructive and guard is not None:
                guard.admit(_change(recorder, call, target, destructive), policy, None)
            return
        if "refused" in call.known.about:  # it was not made then, and not counted
            with call.cell.lock:
                verdicts.count(recorder, call)
        _look_again(recorder, call, acting, destructive)
        if guard is not None:
            undoing = call.cell.context.undoes
            granted = guard.admit(_change(recorder, call, target, destructive), policy, _asked_in(call), undoing=undoing)
            if granted.prompt is not None:
                call.marks["approval"] = granted.prompt
            if granted.glass:
                call.marks["glass"] = list(granted.glass)
    except GuardrailError as refusal:
        _record(recorder, call, refusal)
        raise
    if acting is not None:
        acting.calls.append(call.known.key)


def _marks(recorder: Recorder, acting: Acting | None, target: str, destructive: bool) -> dict[str, Any]:
    marks: dict[str, Any] = {"target": recorder.redact(target)}
    if destructive:
        marks["destructive"] = True
    if acting is not None and acting.why:
        marks["why"] = recorder.redact(acting.why)
    if acting is not None and acting.before is not None:
        marks["before"] = recorder.redact(acting.before)
    return marks


def _change(recorder: Recorder, call: Call, target: str, destructive: bool) -> Change:
    step = call.cell.context.step
    key = call.known.key if call.record is not None else call.base
    return Change(
        id=f"{step}/{key}",
        operation=recorder.redact(call.request.operation),
        target=target,
        step=step,
        destructive=destructive,
        population=population_here(call),
    )


def _asked_in(call: Call) -> frozenset[str] | None:
    context = call.cell.context
    return None if context.ancestors is None else frozenset({context.step, *context.ancestors})


def _look_again(recorder: Recorder, call: Call, acting: Acting | None, destructive: bool) -> None:
    """Read sets of targets again that are older than they may be; what is gone is not acted on. A call that may have been made already is
    let be: it may be what made its target go."""
    if call.record is not None and call.record.doubtful:
        return
    among = acting.among if acting is not None else None
    for targets in [among] if among is not None else list(call.cell.targets) if destructive else []:
        gone: list[str] = []
        if too_old(recorder, targets) and not (recorder.guard is not None and recorder.guard.set_aside(Guardrail.AGE)):
            gone = targets.read_again(recorder, call.lane, call.cell)
        if acting is not None:  # also what an earlier look has missed
            gone = [label for label in targets.gone if label == acting.label]
        if gone:
            raise GuardrailError(
                "HF808",
                f"of the {targets.name}, {', '.join(gone[:5])} is gone since it was chosen",
                cure="Choose again what to act on: resume, or run the step that reads the targets.",
                guardrail=str(Guardrail.AGE),
                step=call.cell.context.step,
                target=gone[0],
            )


def _record(recorder: Recorder, call: Call, refusal: GuardrailError) -> None:
    """The refusal as the call's outcome, so that a replay meets it too; unless it is unknown whether the call was made before."""
    if call.record is not None and call.record.open:
        return
    if call.record is None:
        return
    context, record = call.cell.context, call.record
    stored, _ = recorder.values.encode_error(refusal)
    at = clock.now()
    body = {
        "state": "failed",
        "error": stored,
        "refused": refusal.where.get("guardrail", ""),
        "kind": call.request.kind,
        "operation": recorder.redact(call.request.operation),
        "arguments": recorder.redact(call.request.arguments),
        "effect": call.effect,
        "attempt": record.attempts,
        "lane": call.ordered,
        "n": int(record.key.rpartition("~")[2]),
        "cell": context.cell,
        "source": context.source_digest,
        "step_attempt": context.step_attempt,
        "started_at": at,
        "ended_at": at,
        **call.marks,
    }
    record.about = record.outcome = body
    recorder.commit(Draft(kind=Kind.CALL_OUTCOME, step=context.step, key=record.key, body=recorder.encode(body)))

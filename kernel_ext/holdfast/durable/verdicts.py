"""What happens when the journal alone does not say how to go on: an unknown outcome, exhausted retries, a call that
unchanged code did not make before. A probe answers, or a person; never a silent repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.durable.acting import destroys, population_here, target_here
from holdfast.durable.cell import Planned
from holdfast.durable.index import Record
from holdfast.durable.lanes import HERE, Here
from holdfast.durable.values import text_of
from holdfast.errors import AuthorError, Cancel, NondeterminismError, Suspend
from holdfast.foundation import clock
from holdfast.model.call import Effect, Verdict
from holdfast.model.entry import Draft, Kind
from holdfast.model.prompt import PromptKind
from holdfast.prompts.opening import open_prompt, prompt_id

if TYPE_CHECKING:
    from holdfast.durable.conduct import Call
    from holdfast.durable.interceptor import Attempt
    from holdfast.durable.recorder import Recorder


class Decision(NamedTuple):
    """On an unknown outcome: take ``value`` (stored form), or make the call, as the same attempt when ``resumed``."""

    answered: bool
    value: Any = None
    resumed: bool = False


def not_made(recorder: Recorder, call: Call) -> tuple[Any] | None:
    """A dry run lists what it would change and hands over ``(stand-in,)``; restoring refuses what is not recorded.

    Raises:
        AuthorError: HF153 no record while restoring.
    """
    cell, context = call.cell, call.cell.context
    if context.mode == "restore":
        raise AuthorError(
            "HF153",
            f"restoring the namespace asked for a call that is not recorded: {recorder.redact(call.request.operation)}",
            cure="make what this cell builds picklable, or tag the cell `setup`",
            execution=recorder.execution,
            step=context.step,
            cell=context.cell,
        )
    if not context.dry_run or call.request.effect == Effect.READ or (call.effect == Effect.READ and not destroys(call)):
        return None
    found, said = _previewed(recorder, call)
    with cell.lock:
        cell.plan.append(_planned(recorder, call, said))
    return (call.stand_in(None) if found is None else found,)


def _previewed(recorder: Recorder, call: Call) -> tuple[Any, str]:
    """What the outside says would come of the call. An error there ends no dry run: a later call may need what this one did not make."""
    if call.preview is None:
        return None, ""
    here = HERE.get()
    token = HERE.set(Here(True, None, here.lane if here else None, here.cell if here else None))
    try:
        return call.preview()
    except Exception as error:
        return None, recorder.redact(f"there is no telling: {text_of(error)}")
    finally:
        HERE.reset(token)


def admit(recorder: Recorder, call: Call) -> tuple[Any] | None:
    """Let in a call that has no record. Returns ``(stored value,)`` when it is answered without being made.

    Raises:
        AuthorError: HF151 too many effects. NondeterminismError: HF152. Suspend: a person decides.
    """
    cell = call.cell
    with cell.lock:
        leftovers: list[Record] = []
        if call.effect != Effect.READ:
            leftovers = cell.index.leftovers(call.ordered) if call.ordered else []
            if not leftovers:
                count(recorder, call)
        call.record = cell.index.add(call.base)
    return _nondeterministic(recorder, call, leftovers[0]) if leftovers else None


def count(recorder: Recorder, call: Call) -> None:
    """One effect more; call with the cell's lock held."""
    context, index = call.cell.context, call.cell.index
    limit = context.policy.max_effects
    if limit is not None and index.effects >= limit:
        raise AuthorError(
            "HF151",
            f"the step may change something {limit} times at most; one more would be {recorder.redact(call.request.operation)}",
            cure="check what the step is about to do; then raise `max_effects` of the step",
            execution=recorder.execution,
            step=context.step,
            cell=context.cell,
        )
    index.effects += 1


def _planned(recorder: Recorder, call: Call, said: str) -> Planned:
    request = call.request
    return Planned(
        step=call.cell.context.step,
        kind=request.kind,
        operation=recorder.redact(request.operation),
        arguments=dict(recorder.redact(request.arguments)),
        effect=call.effect,
        target=recorder.redact(target_here(call)),
        destructive=destroys(call),
        population=population_here(call),
        said=recorder.redact(said),
    )


def _nondeterministic(recorder: Recorder, call: Call, recorded: Record) -> tuple[Any] | None:
    step, operation = call.cell.context.step, recorder.redact(call.request.operation)
    text = (
        f"step {step} asks for something else than before, though its code is the same: "
        f"now `{operation}`, recorded `{recorded.about.get('operation')}`"
    )
    if call.cell.context.policy.on_failure == "stop":
        raise NondeterminismError(
            "HF152",
            text,
            cure="let the cell depend on recorded reads only; or edit it and accept the change",
            execution=recorder.execution,
            step=step,
        )
    answer = _ask(recorder, call, PromptKind.NONDETERMINISM, text, (Verdict.USE, Verdict.RUN, Verdict.ABORT), recorded=recorded.key)
    if answer["verdict"] == Verdict.ABORT:
        _follow(recorder, call, answer)
    if answer["verdict"] == Verdict.RUN:
        with call.cell.lock:
            count(recorder, call)
        return None
    with call.cell.lock:
        call.cell.index.waiting.get(recorded.lane, {}).pop(recorded.key, None)
    if recorded.outcome is None or "value" not in recorded.outcome:
        return None
    value = recorded.outcome["value"]
    _settle(recorder, call, value, used=recorded.key)
    return (recorder.values.decode(value),)


def unknown(recorder: Recorder, call: Call) -> Decision:
    """An intent without outcome: by verdict, effect class, probe, or person."""
    record, effect = call.known, call.known.effect
    if record.verdict is not None:
        return _follow(recorder, call, record.verdict)
    if effect == Effect.READ:
        return Decision(False)
    if call.probe is not None:
        attempt = call.attempt(recorder, record.attempts, resumed=True)
        found = _probe(call, attempt)
        if found is not None:
            word = Verdict.HAPPENED if found.happened else Verdict.RUN
            recorder.commit(_verdict_draft(recorder, call, {"verdict": word, "who": "probe", "via": "probe"}))
            if not found.happened:
                record.open = False
                return Decision(False)
            encoded = recorder.values.encode(found.value)
            plain = recorder.values.decode(encoded)
            _settle(recorder, call, encoded, failed=call.failed is not None and call.failed(plain))
            return Decision(True, plain)
    if effect == Effect.IDEMPOTENT:
        return Decision(False, resumed=True)
    text = f"`{record.about['operation']}` was begun at {clock.iso(record.begun)} and nothing tells whether it happened. Did it?"
    answer = _ask(recorder, call, PromptKind.UNKNOWN_OUTCOME, text, (Verdict.HAPPENED, Verdict.RUN, Verdict.SKIP, Verdict.ABORT))
    return _follow(recorder, call, answer)


def _probe(call: Call, attempt: Attempt) -> Any:
    """What the outside says. The probe is no call of its own: while it runs, inner calls pass through."""
    here = HERE.get()
    token = HERE.set(Here(True, attempt, here.lane if here else None, here.cell if here else None))
    try:
        return call.probe(attempt) if call.probe is not None else None
    finally:
        HERE.reset(token)


def exhausted(recorder: Recorder, call: Call, error: Exception | None) -> tuple[bool, Any]:
    """Retries used up. ``(False, None)``: run again; ``(True, stored)``: go on with a stand-in."""
    record = call.known
    why = text_of(error) if error is not None else str((record.outcome or {}).get("reason", "it did not succeed"))
    if call.cell.context.policy.on_failure == "stop" and error is not None:
        raise error
    text = f"`{recorder.redact(call.request.operation)}` failed {record.round} times, the last time with {why}"
    answer = _ask(recorder, call, PromptKind.RETRIES_EXHAUSTED, text, (Verdict.RUN, Verdict.SKIP, Verdict.ABORT))
    if answer["verdict"] == Verdict.RUN:
        record.take(Kind.CALL_VERDICT, answer)
        return False, None
    decision = _follow(recorder, call, answer)
    return True, decision.value


def _follow(recorder: Recorder, call: Call, verdict: dict[str, Any]) -> Decision:
    word = verdict["verdict"]
    if word == Verdict.ABORT:
        who = verdict.get("who") or "somebody"
        why = f": {verdict['why']}" if verdict.get("why") else ""
        raise Cancel(f"aborted by {who}{why}", step=call.cell.context.step, call=call.known.key)
    if word == Verdict.RUN:
        call.known.open = False
        return Decision(False)
    encoded = recorder.values.encode(call.stand_in(verdict.get("value")))
    _settle(recorder, call, encoded, assumed=str(word))
    return Decision(True, recorder.values.decode(encoded))


def _settle(recorder: Recorder, call: Call, encoded: Any, *, failed: bool = False, **marks: Any) -> None:
    """Record an outcome that was found or given rather than observed."""
    from holdfast.durable.conduct import outcome

    call.started_at = clock.now()
    number = max(call.known.attempts, 1)
    draft = outcome(call, number, recorder, state="failed" if failed else "succeeded", value=encoded, **marks)
    recorder.commit(draft)


def _verdict_draft(recorder: Recorder, call: Call, body: dict[str, Any]) -> Draft:
    step, key = call.cell.context.step, call.known.key
    return Draft(kind=Kind.CALL_VERDICT, step=step, key=key, body=recorder.encode(body), actor=body["who"] or "")


def _ask(recorder: Recorder, call: Call, kind: PromptKind, text: str, verdicts: tuple[Verdict, ...], **details: Any) -> dict[str, Any]:
    """A person's verdict on the call, or ``Suspend`` until there is one. It is recorded with the call once it is there."""
    record, step = call.known, call.cell.context.step
    with call.cell.lock:
        answers = call.cell.index.answers
    asked = prompt_id(recorder.execution, step, record.key, kind, record.attempts)
    answer = answers.get(asked)
    if answer is None:
        recorder.flush()
        request = {
            "kind": call.request.kind,
            "operation": recorder.redact(call.request.operation),
            "arguments": dict(recorder.redact(call.request.arguments)),
            "effect": call.effect,
            "call": record.key,
            **details,
        }
        prompt = open_prompt(
            recorder.writer,
            step=step,
            subject=record.key,
            kind=kind,
            text=text,
            verdicts=verdicts,
            request=request,
            attempt=record.attempts,
        )
        call.cell.matters[prompt.id] = None
        raise Suspend(text, waiting_for="prompt", prompt=prompt.id, matter=prompt.id, step=step)
    body = {
        "verdict": answer["verdict"],
        "value": answer.get("value"),
        "who": answer.get("who"),
        "why": answer.get("why"),
        "via": answer.get("via"),
        "prompt": asked,
    }
    recorder.commit(_verdict_draft(recorder, call, body))
    return body

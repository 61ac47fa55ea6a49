"""One call from intent to outcome, as a generator: it yields an attempt to be made or seconds to wait, so that the same
code serves functions and coroutines."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

from holdfast.durable import verdicts
from holdfast.durable.guarding import guarded
from holdfast.durable.index import Record
from holdfast.durable.interceptor import Attempt, Outcome, Request, Transient
from holdfast.durable.lanes import Lane
from holdfast.durable.retries import plan_retry
from holdfast.durable.values import text_of
from holdfast.errors import OutcomeUnknownError, StoreError
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.model.call import Effect
from holdfast.model.entry import Draft, Kind

if TYPE_CHECKING:
    from holdfast.durable.active import ActiveCell
    from holdfast.durable.recorder import Recorder
    from holdfast.model.policy import Retry

Tried: TypeAlias = tuple[Any, Exception | None]
Play: TypeAlias = Generator[Attempt | float, Tried | None, Any]


class Call:
    """A call being made: the request, how to make and keep it, and what the journal has of it."""

    __slots__ = (
        "assumed",
        "base",
        "cell",
        "effect",
        "failed",
        "lane",
        "load",
        "marks",
        "ordered",
        "preview",
        "probe",
        "record",
        "request",
        "retry",
        "started_at",
        "store",
        "transient",
    )

    def __init__(self, request: Request, cell: ActiveCell, lane: Lane, base: str, record: Record | None) -> None:
        self.request, self.cell, self.lane, self.base, self.record = request, cell, lane, base, record
        self.effect: str = request.effect
        self.ordered = ""
        self.store: Callable[[Any], Any] | None = None
        self.load: Callable[[Any], Any] | None = None
        self.probe: Callable[[Attempt], Outcome | None] | None = None
        self.transient: Callable[[Any, BaseException | None], Transient | None] | None = None
        self.failed: Callable[[Any], bool] | None = None
        self.assumed: Callable[[Any], Any] | None = None
        self.preview: Callable[[], tuple[Any, str]] | None = None
        self.retry: Retry | None = None
        self.started_at = 0.0
        self.marks: dict[str, Any] = {}  # what its intent says of target, before, why, and on whose word

    def goes(self, store: Any, probe: Any, transient: Any, failed: Any, assumed: Any, preview: Any, retry: Retry | None) -> None:
        """What was said of how it goes; see ``interceptor.Recorder.perform``."""
        self.store, self.probe, self.transient, self.failed = store, probe, transient, failed
        self.assumed, self.preview, self.retry = assumed, preview, retry

    @property
    def known(self) -> Record:
        """The record; there is one once the call has been admitted."""
        if self.record is None:
            raise RuntimeError("the call was not admitted")
        return self.record

    def attempt(self, recorder: Recorder, number: int, *, resumed: bool) -> Attempt:
        """What the performer is told."""
        key = self.known.key
        return Attempt(
            execution=recorder.execution,
            step=self.cell.context.step,
            call=key,
            number=number,
            idempotency_key=recorder.idempotency_key(key, self.known),
            resumed=resumed,
            origin=self.known.about.get("origin", ""),
            begun=self.known.begun,
            sends_key=recorder.sends_keys,
        )

    def stand_in(self, value: Any) -> Any:
        """The stored form of a result nobody saw: what a person says it was, or nothing."""
        return self.assumed(value) if self.assumed is not None else value


def conduct(recorder: Recorder, call: Call) -> Play:
    """Make the call (again) as the journal and people allow; returns what the cell is handed."""
    __tracebackhide__ = True  # in each frame between an author's line and the error: people see their own code
    refused = verdicts.not_made(recorder, call)
    if refused is not None:
        return recorder.hand_over(call, refused[0])
    record, same = call.record, False
    if record is None:
        answer = verdicts.admit(recorder, call)
        if answer is not None:
            return recorder.hand_over(call, answer[0])
        record = call.known
    elif record.open:
        decision = verdicts.unknown(recorder, call)
        if decision.answered:
            return recorder.hand_over(call, decision.value)
        same = record.doubtful = decision.resumed
    elif record.round and record.outcome is not None and "transient" in record.outcome:
        if record.next_at is None and (record.verdict is None or record.verdict["verdict"] != "run"):
            answered, stored = verdicts.exhausted(recorder, call, recorder.recorded_error(record.outcome))
            if answered:
                return recorder.hand_over(call, stored)
        elif record.next_at is not None:
            wait = record.next_at - clock.now()
            if wait > 0:
                yield wait
    if call.request.effect != Effect.READ:
        guarded(recorder, call)
    number = record.attempts if same else record.attempts + 1
    while True:
        settled, value = yield from _attempt(recorder, call, number, record.doubtful)
        if settled:
            return value
        if value > 0:
            yield value
        number += 1


def _attempt(recorder: Recorder, call: Call, number: int, resumed: bool) -> Generator[Attempt | float, Tried | None, tuple[bool, Any]]:
    """One try. ``(True, value)`` when it is settled, ``(False, seconds)`` when it is to be tried again."""
    __tracebackhide__ = True
    point("call.before_intent")
    if call.effect != Effect.READ:
        recorder.commit(intent(recorder, call, number, resumed))
        point("call.after_intent")
    attempt = call.attempt(recorder, number, resumed=resumed)
    call.started_at = clock.now()
    tried = yield attempt
    point("call.after_effect")
    assert tried is not None
    result, error = tried
    passing = call.transient(result, error) if call.transient is not None else None
    if isinstance(error, OutcomeUnknownError):
        passing = Transient(reason=text_of(error))  # harmless to try again ...
        if call.effect == Effect.WRITE:  # ... unless it may do harm: then a probe, or a person, must have said so
            decision = verdicts.unknown(recorder, call)
            if decision.answered:
                return True, recorder.hand_over(call, decision.value)
    if passing is not None:
        return settle_transient(recorder, call, number, result, error, passing)
    if error is None:
        try:
            value = recorder.values.encode(call.store(result) if call.store is not None else result)
            plain = recorder.values.decode(value)
        except StoreError:
            raise
        except Exception as unstorable:  # it happened, but its result cannot be kept: that is what is on record, for ever
            error = unstorable
    if error is not None:
        stored, error = recorder.values.encode_error(error)
        recorder.commit(outcome(call, number, recorder, state="failed", error=stored))
        point("call.after_outcome")
        raise error
    bad = call.failed is not None and call.failed(plain)
    recorder.commit(outcome(call, number, recorder, state="failed" if bad else "succeeded", value=value))
    point("call.after_outcome")
    return True, recorder.hand_over(call, plain)


def settle_transient(
    recorder: Recorder, call: Call, number: int, result: Any, error: Exception | None, passing: Transient
) -> tuple[bool, Any]:
    """Record the failed try and say what comes next."""
    record = call.known
    record.round += 1
    record.since = record.since or call.started_at
    retry = call.retry or recorder.retry
    next_at = plan_retry(retry, record.round, record.since, passing.retry_after, recorder.retry_deadline)
    what: dict[str, Any] = {}
    if error is not None:
        what["error"], error = recorder.values.encode_error(error)
    else:
        what["value"] = recorder.values.encode(call.store(result) if call.store is not None else result)
    stop = next_at is None and (not retry.count or call.cell.context.policy.on_failure == "stop")
    marks: dict[str, Any] = {} if stop else {"transient": True, "reason": passing.reason}
    if next_at is not None:
        marks["next_at"] = next_at
    record.outcome = outcome_body(call, number, recorder, state="failed", **what, **marks)
    record.attempts, record.next_at, record.open = number, next_at, False
    recorder.commit(Draft(kind=Kind.CALL_OUTCOME, step=call.cell.context.step, key=record.key, body=recorder.encode(record.outcome)))
    point("call.after_outcome")
    if next_at is not None:
        return False, max(0.0, next_at - clock.now())
    if stop:
        if error is not None:
            raise error
        return True, recorder.hand_over(call, recorder.values.decode(what["value"]))
    answered, stored = verdicts.exhausted(recorder, call, error)
    return (True, recorder.hand_over(call, stored)) if answered else (False, 0.0)


def intent(recorder: Recorder, call: Call, number: int, resumed: bool) -> Draft:
    """The entry that goes before an effect."""
    context, record, request = call.cell.context, call.known, call.request
    body = {
        "kind": request.kind,
        "operation": recorder.redact(request.operation),
        "arguments": recorder.redact(request.arguments),
        "effect": call.effect,
        "attempt": number,
        "idempotency_key": recorder.idempotency_key(record.key, record),
        "lane": call.ordered,
        "n": int(record.key.rpartition("~")[2]),
        "cell": context.cell,
        "source": context.source_digest,
        "step_attempt": context.step_attempt,
        "owner": recorder.owner,
        **call.marks,
    }
    if request.origin:
        body["origin"] = request.origin
    if resumed:
        body["resumed"] = True
    record.about, record.open, record.attempts, record.effect = body, True, number, call.effect
    record.begun = clock.now()
    return Draft(kind=Kind.CALL_INTENT, step=context.step, key=record.key, body=recorder.encode(body))


def outcome_body(call: Call, number: int, recorder: Recorder, **what: Any) -> dict[str, Any]:
    """The body of an outcome; a read's describes the call as well."""
    body: dict[str, Any] = {**what, "attempt": number, "started_at": call.started_at, "ended_at": clock.now()}
    if call.effect == Effect.READ:
        context, request = call.cell.context, call.request
        body["kind"], body["operation"], body["effect"] = request.kind, recorder.redact(request.operation), call.effect
        body["lane"], body["n"] = call.ordered, int(call.known.key.rpartition("~")[2])
        body["cell"], body["source"], body["step_attempt"] = context.cell, context.source_digest, context.step_attempt
        if request.arguments:
            body["arguments"] = recorder.redact(request.arguments)
        if request.cheap:
            body["cheap"] = True
        if request.kept:
            body["kept"] = True
    return body


def outcome(call: Call, number: int, recorder: Recorder, **what: Any) -> Draft:
    """The entry that goes after an effect or a reading."""
    body = outcome_body(call, number, recorder, **what)
    record = call.known
    record.outcome, record.attempts, record.open = body, number, False
    if not record.about:
        record.about = body
    return Draft(kind=Kind.CALL_OUTCOME, step=call.cell.context.step, key=record.key, body=recorder.encode(body))

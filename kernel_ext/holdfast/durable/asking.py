"""``confirm``, ``ask``, ``form``, ``approve``: a question to people, asked once, answered once, taken once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from holdfast.durable import canonical, current
from holdfast.durable.active import ActiveCell
from holdfast.durable.answers import Ballot, Confirmation, Consent, Secret
from holdfast.durable.carriers import check_carriers
from holdfast.durable.cell import QUESTION, Planned
from holdfast.durable.discarded import discarded
from holdfast.durable.interceptor import Attempt, Request
from holdfast.durable.waiting import Matter, hold
from holdfast.errors import AuthorError, Cancel, PromptError
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.model.call import Effect
from holdfast.model.prompt import DECLINE, YES, Prompt, PromptKind, PromptState
from holdfast.prompts import schemas, sealing
from holdfast.prompts.expiring import expire
from holdfast.prompts.listing import end_of, ended, get
from holdfast.prompts.opening import open_prompt
from holdfast.prompts.questions import Asked, Names, Span, question

if TYPE_CHECKING:
    from holdfast.durable.recorder import Recorder


def confirm(
    text: str,
    *,
    target: Any = None,
    count: int | None = None,
    command: str | None = None,
    destructive: bool | str = False,
    why: bool = False,
    to: Names = None,
    via: Names = None,
    timeout: Span = None,
    on_timeout: Any = "fail",
    remind_every: Span = None,
    escalate_to: Names = None,
    escalate_after: Span = None,
) -> Confirmation:
    """Ask for a yes. As a statement of its own, a no ends the execution as ``cancelled``, reason ``declined``; where the value is used
    (``if confirm(...):``) it is false instead.

    Args:
        text: the question, with names and numbers.
        target: what it is done to, one name or several; shown with the question.
        count: to how many.
        command: what one could type to the same end.
        destructive: consent needs the name of the target typed (or this text).
        why: an answer needs a reason.
        to: the people or groups who are asked; nobody else may answer.
        via: the channels that carry it.
        timeout: how long an answer is waited for, ``"2 hours"``; for ever by default.
        on_timeout: what then: ``"fail"`` fails the step, ``"no"`` stands in for an answer. Never consent.
        remind_every: how often whoever is asked is reminded.
        escalate_to: who is asked besides, and may answer, after ``escalate_after``.

    Raises:
        AuthorError: HF158, it cannot be asked this way. PromptError: HF410, nobody answered in time. Suspend: it waits for a person.
        Cancel: a no ended the execution.
    """
    __tracebackhide__ = True
    given = {"target": target, "count": count, "command": command, "destructive": destructive, "why": why, "who": to, "via": via}
    times = _times(timeout, on_timeout, remind_every, escalate_to, escalate_after)
    taken = _put(PromptKind.CONFIRM, text, given | times)
    return _gate(cast(Confirmation, taken))


def approve(
    text: str,
    *,
    by: Names = None,
    at_least: int = 1,
    not_self: bool = False,
    target: Any = None,
    count: int | None = None,
    command: str | None = None,
    destructive: bool | str = False,
    why: bool = False,
    via: Names = None,
    timeout: Span = None,
    on_timeout: Any = "fail",
    remind_every: Span = None,
    escalate_to: Names = None,
    escalate_after: Span = None,
) -> Ballot:
    """Ask some people to consent. Each votes once, the first refusal ends it. A refusal does what a no to :func:`confirm` does.

    Args:
        text: what is to be approved.
        by: the people or groups who may; anybody by default.
        at_least: so many different people must.
        not_self: the person who started the execution may not.

    The other arguments are those of :func:`confirm`.

    Returns:
        who said what, when, by which way and why: ``.votes``, ``.approved_by``. It is true when enough people consented.

    Raises:
        AuthorError: HF158, it cannot be asked this way. PromptError: HF410, nobody answered in time. Suspend: it waits for people.
        Cancel: a refusal ended the execution.
    """
    __tracebackhide__ = True
    given = {"target": target, "count": count, "command": command, "destructive": destructive, "why": why, "who": by, "via": via}
    times = _times(timeout, on_timeout, remind_every, escalate_to, escalate_after)
    taken = _put(PromptKind.APPROVE, text, given | times | {"at_least": at_least, "not_self": not_self})
    return cast(Ballot, _gate(cast(Ballot, taken)))


def ask(
    text: str,
    options: Iterable[Any] | Mapping[str, Any] | None = None,
    *,
    target: Any = None,
    count: int | None = None,
    command: str | None = None,
    why: bool = False,
    to: Names = None,
    via: Names = None,
    timeout: Span = None,
    on_timeout: Any = "fail",
    remind_every: Span = None,
    escalate_to: Names = None,
    escalate_after: Span = None,
) -> Any:
    """Ask which of some options, or for a line of text.

    Args:
        text: the question.
        options: texts or numbers, or a mapping of names to what they stand for; without them a line of text is asked for, which may be
            declined: that ends the execution as ``cancelled``.
        on_timeout: ``"fail"``, or an option (a text) that lets nothing happen.

    The other arguments are those of :func:`confirm`.

    Returns:
        the option as it was given here (of a mapping: what the name stands for), or the text.

    Raises:
        AuthorError: HF158, it cannot be asked this way. PromptError: HF410, nobody answered in time. Suspend: it waits for a person.
        Cancel: it was declined.
    """
    __tracebackhide__ = True
    given = {"options": options, "target": target, "count": count, "command": command, "why": why, "who": to, "via": via}
    times = _times(timeout, on_timeout, remind_every, escalate_to, escalate_after)
    return _put(PromptKind.ASK, text, given | times)


def form(
    text: str,
    schema: Any,
    *,
    target: Any = None,
    count: int | None = None,
    command: str | None = None,
    why: bool = False,
    to: Names = None,
    via: Names = None,
    timeout: Span = None,
    on_timeout: Any = "fail",
    remind_every: Span = None,
    escalate_to: Names = None,
    escalate_after: Span = None,
) -> Any:
    """Ask for several things at once. The answer is checked where it is given. Fields with ``"format": "password"`` or
    ``"writeOnly": true`` (pydantic's ``SecretStr``) are sealed: the journal never has them in clear.

    Args:
        text: what it is about.
        schema: a JSON Schema of type object, or a pydantic model.
        on_timeout: ``"fail"``, or a value that fits and lets nothing happen.

    The other arguments are those of :func:`confirm`.

    Returns:
        a dictionary, or an instance of the model. It may be declined instead, which ends the execution as ``cancelled``.

    Raises:
        AuthorError: HF158, it cannot be asked this way. PromptError: HF410, nobody answered in time. Suspend: it waits for a person.
        Cancel: it was declined. pydantic's ``ValidationError``: the model refuses what its schema lets pass.
    """
    __tracebackhide__ = True
    model = schema if hasattr(schema, "model_json_schema") and hasattr(schema, "model_validate") else None
    shape = model.model_json_schema() if model is not None else schema
    given = {"schema": shape, "target": target, "count": count, "command": command, "why": why, "who": to, "via": via}
    times = _times(timeout, on_timeout, remind_every, escalate_to, escalate_after)
    value = _put(PromptKind.FORM, text, given | times)
    return value if model is None else model.model_validate(value)


def _times(timeout: Span, on_timeout: Any, remind_every: Span, escalate_to: Names, escalate_after: Span) -> dict[str, Any]:
    return {
        "timeout": timeout,
        "on_timeout": on_timeout,
        "remind_every": remind_every,
        "escalate_to": escalate_to,
        "escalate_after": escalate_after,
    }


# ---- asking


def _put(kind: PromptKind, text: str, given: dict[str, Any]) -> Any:
    """Ask, as one call; returns what the cell gets.

    Raises:
        Cancel: a form or a line of text was declined.
    """
    __tracebackhide__ = True
    recorder = current.active()
    if recorder is None or recorder.cell is None:
        asked = question(kind, text, **given)
        raise AuthorError(
            "HF158",
            f"nobody can be asked here: {asked.text}",
            cure="ask in a cell of a Holdfast kernel, outside of functions marked @call; the answer is kept there",
        )
    store = recorder.writer.store
    header = store.header(recorder.execution)
    started_by = header.started_by if header is not None and given.get("not_self") else ""
    asked = question(kind, text, groups=recorder.groups(), started_by=started_by, **given)
    if recorder.cell.context.dry_run:
        return _assumed(recorder, recorder.cell, asked)
    request = Request(
        kind="prompt",
        operation=f"{kind}({asked.text!r})",
        fingerprint=canonical.digest(["prompt", asked.identity]),
        effect=Effect.READ,
        kept=True,
    )
    taken = recorder.perform(request, lambda attempt: _answer(recorder, attempt, asked), load=lambda stored: stored)
    if taken["verdict"] == DECLINE and asked.question.schema is not None:
        raise _declined(recorder, taken)
    return _handed(recorder, asked, taken)


def _answer(recorder: Recorder, attempt: Attempt, asked: Asked) -> dict[str, Any]:
    """Open the question, or find it opened or even answered by an earlier life of this execution; wait for its end."""
    recorder.flush()
    check_carriers(recorder, attempt, asked)
    point("prompt.before_open")
    told = {name: recorder.redact(getattr(asked.question, name)) for name in ("target", "command")}
    shown = msgspec.structs.replace(asked.question, **told)
    arguments = {k: v for k, v in (("target", shown.target), ("count", shown.count)) if v is not None}
    prompt = open_prompt(
        recorder.writer,
        step=attempt.step,
        subject=attempt.call,
        kind=asked.kind,
        text=recorder.redact(asked.text),
        verdicts=asked.verdicts,
        request={"kind": str(asked.kind), "operation": shown.command or "", "arguments": arguments},
        attempt=attempt.number,
        due_at=None if asked.timeout is None else clock.now() + asked.timeout,
        question=shown,
    )
    end = _waited(recorder, prompt)
    point("prompt.before_take")
    return _taken(end)


def _waited(recorder: Recorder, prompt: Prompt) -> Prompt:
    """The prompt as it ended.

    Raises:
        Suspend, Cancel: see :func:`waiting.hold`.
    """
    store, last = recorder.writer.store, [prompt]

    def look() -> Prompt | None:
        entry = store.find_once(recorder.execution, end_of(prompt.id))
        if entry is not None:
            return get(store, prompt.id) if prompt.kind == PromptKind.APPROVE else ended(prompt, entry)
        found = expire(store, prompt, noticed_by=recorder.owner or recorder.writer.actor)
        return found if found.state != PromptState.OPEN else None

    found = look()
    if found is not None:
        return found
    showing = recorder.present(prompt)

    def tick() -> None:
        if prompt.question is not None and prompt.question.at_least > 1:
            last[0] = get(store, prompt.id)
        showing.tick(last[0])

    details = {"prompt": prompt.id, "shown": True}
    matter = Matter(
        kind="prompt",
        key=prompt.id,
        reason=prompt.text,
        opened_at=prompt.opened_at,
        due_at=prompt.due_at,
        details=details,
        attended=showing.live,
    )
    try:
        last[0] = hold(recorder, matter, look, tick=tick)
    finally:
        with contextlib.suppress(Exception):  # what is shown must not decide what happens
            showing.close(last[0])
    return last[0]


def _taken(end: Prompt) -> dict[str, Any]:
    """What is recorded of the end; secrets in it stay sealed.

    Raises:
        PromptError: HF410. Cancel: the prompt was withdrawn.
    """
    stand_in = end.question.timed_out if end.question is not None else None
    if end.state == PromptState.WITHDRAWN:
        raise Cancel(f"the question was withdrawn by {end.answered_by or 'somebody'}" + (f": {end.why}" if end.why else ""))
    at = end.answered_at if end.answered_at is not None else clock.now()
    if end.state == PromptState.EXPIRED:
        if stand_in is None:
            cure = "resume to ask again; see `to`, `remind_every`, `escalate_to`, `on_timeout`"
            raise PromptError("HF410", f"nobody answered in time: {end.text}", cure=cure, prompt=end.id)
        return {**stand_in, "who": None, "at": at, "via": None, "why": None, "votes": [], "timed_out": True, "prompt": end.id}
    votes = [{"who": v.who, "answer": v.verdict, "at": v.at, "via": v.via, "why": v.why} for v in end.votes]
    about = {"who": end.answered_by, "at": at, "via": end.via, "why": end.why, "votes": votes, "timed_out": False, "prompt": end.id}
    return {"verdict": end.answer, "value": end.value, **about}


# ---- handing over


def _handed(recorder: Recorder, asked: Asked, taken: dict[str, Any]) -> Any:
    """What the cell gets for what is recorded."""
    if asked.kind in (PromptKind.CONFIRM, PromptKind.APPROVE):
        common = {k: taken[k] for k in ("who", "via", "why", "timed_out", "prompt")}
        common |= {"answer": taken["verdict"], "at": clock.utc(taken["at"])}
        if asked.kind == PromptKind.CONFIRM:
            return Confirmation(**common)
        return Ballot(**common, votes=tuple(Consent(**{**v, "at": clock.utc(v["at"])}) for v in taken["votes"]))
    if asked.question.options:
        return asked.question.options[asked.verdicts.index(taken["verdict"])]

    def wrap(text: str, sealed: str) -> Secret:
        recorder.redactor.register(text)
        return Secret.of(text, taken["prompt"], sealed)

    return sealing.unseal(taken["value"], recorder.writer.store.key, taken["prompt"], wrap)


def _gate(answer: Confirmation) -> Confirmation:
    """``answer``, unless it is a no that the author does not look at."""
    unused = discarded()
    if not answer and unused:
        recorder = current.recorder()
        who = answer.who or "nobody in time"
        raise _declined(recorder, {"who": who, "via": answer.via, "why": answer.why, "prompt": answer.prompt})
    return cast(Confirmation, None) if unused else answer  # a statement has no value to be shown under the cell


def _declined(recorder: Recorder | None, taken: Mapping[str, Any]) -> Cancel:
    """A person said no, and the author left it at that: the execution ends; later code of the cell reaches the outside no more."""
    via = f" via {taken['via']}" if taken.get("via") else ""
    reason = f"declined by {taken['who']}{via}" + (f": {taken['why']}" if taken.get("why") else "")
    cancel = Cancel(reason, declined=True, prompt=taken["prompt"])
    if recorder is not None and recorder.cell is not None:
        recorder.cell.main.ended = cancel
    return cancel


def _assumed(recorder: Recorder, cell: ActiveCell, asked: Asked) -> Any:
    """A dry run asks nobody: it notes the question, and goes on as after consent, to list what would happen."""
    shown = asked.question
    now = clock.utc(clock.now())
    value: Any
    said: Any
    if asked.kind in (PromptKind.CONFIRM, PromptKind.APPROVE):
        value, said = (Confirmation if asked.kind == PromptKind.CONFIRM else Ballot)(answer=YES, who="dry run", at=now), YES
    elif shown.options:
        value, said = shown.options[0], asked.verdicts[0]
    else:
        value = said = "" if asked.kind == PromptKind.ASK else schemas.with_defaults(shown.schema or {}, {})
    about = {"of": list(shown.who), "at_least": shown.at_least, "target": shown.target, "count": shown.count, "command": shown.command}
    arguments = {name: one for name, one in about.items() if one not in (None, [], 1)} | {"assumed": said}
    planned = Planned(
        step=cell.context.step,
        kind=str(asked.kind),
        operation=recorder.redact(asked.text),
        arguments=dict(recorder.redact(arguments)),
        effect=QUESTION,
    )
    with cell.lock:
        cell.plan.append(planned)
    return value

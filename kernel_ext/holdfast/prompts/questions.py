"""An author's question, checked before anybody is asked: what cannot be answered, or would consent by itself, is refused here."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from holdfast.errors import AuthorError
from holdfast.foundation import durations
from holdfast.model.prompt import ANSWER, DECLINE, NO, YES, PromptKind, Question
from holdfast.prompts import schemas, sealing

Span: TypeAlias = "float | str | datetime.timedelta | None"
Names: TypeAlias = "str | Iterable[str] | None"

#: Words that mean "go on". An answer that begins with one is consent.
CONSENTS = frozenset(
    "yes y yep yeah ok okay approve approved go proceed continue accept accepted true sure confirm confirmed agree agreed allow "
    "allowed".split()
)
_TEXT = {"type": "string", "minLength": 1}
_SCALARS = (str, int, float, bool)
_MOST_OPTIONS = 50


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question ready to be asked."""

    kind: PromptKind
    text: str
    verdicts: tuple[str, ...]
    question: Question
    timeout: float | None = None  # seconds from the moment it is asked

    @property
    def identity(self) -> list[Any]:
        """What makes two questions the same: all that changes what an answer means, not how it is carried."""
        q = self.question
        who = [q.who, q.at_least, q.not_self]
        return [self.kind, self.text, self.verdicts, q.options, q.schema, who, q.target, q.count, q.command, q.typed, q.why]


def question(
    kind: PromptKind,
    text: str,
    *,
    options: Iterable[Any] | Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    who: Names = None,
    via: Names = None,
    timeout: Span = None,
    on_timeout: Any = "fail",
    remind_every: Span = None,
    escalate_to: Names = None,
    escalate_after: Span = None,
    why: bool = False,
    target: Any = None,
    count: int | None = None,
    command: str | None = None,
    destructive: bool | str = False,
    at_least: int = 1,
    not_self: bool = False,
    started_by: str = "",
    groups: Mapping[str, Collection[str]] | None = None,
) -> Asked:
    """Check a question and put it into its form.

    Raises:
        AuthorError: HF158, it cannot be asked this way.
    """
    if not isinstance(text, str) or not text.strip():
        raise _wrong("a question needs a text", "say what is to be decided, with names and numbers")
    verdicts, values, fits = _answers(kind, options, schema)
    people = _names("to" if kind != PromptKind.APPROVE else "by", who)
    several = not isinstance(target, str) and isinstance(target, Iterable) and len(target := list(target)) > 1
    target, count = _target(target, count)
    made = Question(
        who=people,
        via=_names("via", via),
        at_least=_at_least(at_least, people, groups or {}, started_by if not_self else None),
        not_self=bool(not_self),
        started_by=started_by,
        why=bool(why),
        typed=_typed(kind, destructive, None if several else target),
        target=target,
        count=count,
        command=command,
        options=values,
        schema=fits,
        remind_every=_span("remind_every", remind_every, least=1.0),
        escalate_to=_names("escalate_to", escalate_to),
        escalate_after=_span("escalate_after", escalate_after),
    )
    if bool(made.escalate_to) != (made.escalate_after is not None):
        raise _wrong("escalate_to and escalate_after belong together", 'give both: escalate_to="group:leads", escalate_after="30 min"')
    limit = _span("timeout", timeout)
    if limit is None and on_timeout != "fail":
        raise _wrong("on_timeout without a timeout", 'give the time too: timeout="2 hours"')
    made = msgspec.structs.replace(made, timed_out=_timed_out(kind, on_timeout, verdicts, made))
    return Asked(kind=kind, text=text.strip(), verdicts=verdicts, question=made, timeout=limit)


def consents(value: Any) -> bool:
    """Whether a value given instead of an answer could be taken for consent: true, or a text that begins with such a word; in a form,
    anywhere."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        words = re.findall(r"[^\W_]+", value.lower())
        return bool(words) and words[0] in CONSENTS
    if isinstance(value, Mapping):
        return any(consents(item) for item in value.values())
    return isinstance(value, list | tuple) and any(consents(item) for item in value)


# ---- parts


def _wrong(what: str, cure: str) -> AuthorError:
    return AuthorError("HF158", what, cure=cure)


def _answers(kind: PromptKind, options: Any, schema: Any) -> tuple[tuple[str, ...], tuple[Any, ...], dict[str, Any] | None]:
    """(verdicts, what they stand for, the schema of a value)."""
    if kind in (PromptKind.CONFIRM, PromptKind.APPROVE):
        return (YES, NO), (), None
    if kind == PromptKind.ASK and options is None:
        return (ANSWER, DECLINE), (), dict(_TEXT)
    if kind == PromptKind.ASK:
        if isinstance(options, str | bytes) or not isinstance(options, Iterable):
            raise _wrong("options is a list of answers, or a mapping of their names to values", 'for example options=["restart", "wait"]')
        found = list(options.items()) if isinstance(options, Mapping) else [(_word(o), o) for o in options]
        names = [str(name).strip() for name, _ in found]
        if len(names) < 2 or len(names) > _MOST_OPTIONS or len(set(names)) < len(names) or not all(names):
            raise _wrong(f"options must be 2 to {_MOST_OPTIONS} different answers, not {names!r}", "name each once")
        return tuple(names), tuple(_plain(value) for _, value in found), None
    problem = schemas.problem_of(schema)
    if problem is not None:
        raise _wrong(f"the schema of the form cannot be used: {problem}", "give a JSON Schema of type object, or a pydantic model")
    return (ANSWER, DECLINE), (), _plain(schema)


def _word(option: Any) -> str:
    if option is not None and not isinstance(option, _SCALARS):
        raise _wrong(f"an option is a text or a number, not {type(option).__name__}", "name it: options={'the first': value}")
    return str(option)


def _plain(value: Any) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError) as error:
        raise _wrong(f"{value!r} is no JSON: {error}", "use texts, numbers, lists and mappings") from None


def _names(argument: str, given: Names) -> tuple[str, ...]:
    found = (given,) if isinstance(given, str) else tuple(given or ())
    if not all(isinstance(n, str) and n.strip() for n in found) or (given is not None and not found):
        raise _wrong(f"{argument} must name people or groups, not {given!r}", f'for example {argument}=["alice", "group:oncall"]')
    return tuple(dict.fromkeys(n.strip() for n in found))


def _span(argument: str, given: Span, least: float = 0.0) -> float | None:
    if given is None:
        return None
    try:
        found = durations.seconds(given)
    except ValueError as error:
        raise _wrong(f"{argument}: {error}", f'for example {argument}="30 min"') from None
    if found <= least - 1e-9 or found <= 0:
        raise _wrong(f"{argument} must be more than {least:g} s, not {given!r}", f'for example {argument}="30 min"')
    return found


def _at_least(given: Any, people: Sequence[str], groups: Mapping[str, Collection[str]], without: str | None) -> int:
    """So many that it can come about, as far as the groups are known here."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise _wrong(f"at_least must be a whole number of people, at least 1, not {given!r}", "for example at_least=2")
    known: set[str] = set()
    for name in people:
        bare = name.removeprefix("group:")
        if bare in groups:
            known |= set(groups[bare])
        elif name != bare:
            return given  # a group that only the gateway knows
        else:
            known.add(name)
    if people and without is not None and not known - {without}:
        raise _wrong(f"only {without} could answer, who started the execution and may not", "name somebody else, or leave not_self out")
    known -= {without or ""}
    if people and len(known) < given:
        what = f"at_least={given}, but only {len(known)} may answer: {', '.join(sorted(known))}"
        raise _wrong(what, "name more people or ask for fewer; a group is written group:NAME")
    return given


def _target(target: Any, count: Any) -> tuple[str | None, int | None]:
    if target is not None and not isinstance(target, str):
        names = [str(t) for t in target] if isinstance(target, Iterable) else [str(target)]
        target, count = ", ".join(names), len(names) if count is None else count
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
        raise _wrong(f"count must be a whole number, not {count!r}", "for example count=len(volumes)")
    return target or None, count


def _typed(kind: PromptKind, destructive: bool | str, target: str | None) -> str | None:
    """The name that consent needs typed."""
    if not destructive:
        return None
    if kind not in (PromptKind.CONFIRM, PromptKind.APPROVE):
        raise _wrong("only confirm and approve can be destructive", "ask with options first, then confirm")
    name = destructive if isinstance(destructive, str) else target
    if not name or not name.strip():
        raise _wrong("a destructive question names what is to be typed", 'give one target="prod-eu", or destructive="12 volumes"')
    return name.strip()


def _timed_out(kind: PromptKind, given: Any, verdicts: tuple[str, ...], made: Question) -> dict[str, Any] | None:
    """What stands in for an answer that did not come. Never consent."""
    if given == "fail" and not isinstance(given, Mapping):
        return None
    if kind in (PromptKind.CONFIRM, PromptKind.APPROVE):
        if given is False or (isinstance(given, str) and given.strip().lower() == NO):
            return {"verdict": NO, "value": None}
        raise _consent(given, '"fail" or "no"')
    if consents(given):
        raise _consent(given, '"fail" or an answer that lets nothing happen')
    if kind == PromptKind.ASK and made.options:
        matching = [
            v for v, option in zip(verdicts, made.options, strict=True) if v == given or (type(option), option) == (type(given), given)
        ]
        if not matching:
            raise _wrong(f"on_timeout={given!r} is none of the options", f"give one of: {', '.join(verdicts)}")
        if consents(matching[0]):
            raise _consent(given, '"fail" or an option that lets nothing happen')
        return {"verdict": matching[0], "value": None}
    schema = made.schema or {}
    value = schemas.with_defaults(schema, _plain(given))
    if consents(value):
        raise _consent(value, '"fail" or a value that lets nothing happen')
    if sealing.has_secrets(schema) and sealing.change_secrets(schema, value, lambda secret: [secret]) != value:
        raise _wrong("on_timeout gives a secret, which would stand in the runbook", 'leave the secret out, or use "fail"')
    wrong = schemas.misfits(schema, value)
    if wrong:
        raise _wrong(f"on_timeout does not fit the form: {': '.join(filter(None, wrong[0]))}", 'give a value that fits, or "fail"')
    return {"verdict": ANSWER, "value": value}


def _consent(given: Any, instead: str) -> AuthorError:
    return _wrong(f"on_timeout={given!r} would consent where nobody did", f"use {instead}")

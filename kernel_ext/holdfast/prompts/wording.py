"""A question and its end in words, the same in a terminal, in a notebook and in a message."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.foundation import clock, durations
from holdfast.model.prompt import Prompt, PromptKind, PromptState
from holdfast.prompts.allowed import who_may
from holdfast.prompts.sealing import masked


def facts(prompt: Prompt) -> list[tuple[str, str]]:
    """What an author's question says beside its text: (name, value)."""
    question = prompt.question
    if question is None:
        return []
    target, count = question.target or "", question.count
    found = {
        "target": f"{target} ({count})" if target and count is not None else target,
        "count": str(count) if count is not None and not target else "",
        "command": question.command or "",
        "fields": ", ".join((question.schema or {}).get("properties") or ()) if prompt.kind == PromptKind.FORM else "",
        "who may answer": who(prompt),
        "votes": ", ".join(f"{v.who}: {v.verdict}" for v in prompt.votes),
        "time left": time_left(prompt),
    }
    return [(name, value) for name, value in found.items() if value]


def who(prompt: Prompt) -> str:
    """Who may answer, and how many of them must."""
    question = prompt.question
    if question is None:
        return ""
    needed = f"{question.at_least} people are needed" if question.at_least > 1 else ""
    not_self = f"not {question.started_by}, who started it" if question.not_self else ""
    return "; ".join(filter(None, [", ".join(who_may(prompt)), needed, not_self]))


def time_left(prompt: Prompt) -> str:
    """How long an answer is waited for, and what then."""
    if prompt.due_at is None or prompt.state != PromptState.OPEN:
        return ""
    left = prompt.due_at - clock.now()
    then = stand_in(prompt)
    return f"{durations.text(left) if left >= 60 else f'{max(0, round(left))} s'}, then {then}"


def stand_in(prompt: Prompt) -> str:
    """What no answer means."""
    given = prompt.question.timed_out if prompt.question is not None else None
    if given is None:
        return "the step fails"
    return str(given["verdict"] if given["value"] is None else given["value"])


def how_to_answer(prompt: Prompt) -> str:
    """The command that answers a prompt, with what has to be filled in."""
    question = prompt.question
    said = "|".join(shlex.quote(v) for v in prompt.verdicts)
    if prompt.kind == PromptKind.FORM:
        said = "--value JSON (or: decline)"
    elif prompt.kind == PromptKind.ASK and question is not None and question.schema is not None:
        said = "TEXT (or: decline)"
    typed = f" --typed {shlex.quote(question.typed)}" if question is not None and question.typed else ""
    why = " --why TEXT" if question is not None and question.why else ""
    return f"holdfast answer {prompt.id} {said}{typed}{why}"


def end(prompt: Prompt) -> str:
    """How it ended, in one line: ``yes, answered by alice via slack``; empty while it is open."""
    if prompt.state == PromptState.OPEN:
        return ""
    by = f"by {prompt.answered_by}" if prompt.answered_by else ""
    if prompt.state == PromptState.EXPIRED:
        return f"nobody answered in time: {stand_in(prompt)}"
    if prompt.state == PromptState.WITHDRAWN:
        return f"withdrawn {by}".strip()
    consents = [v.who for v in prompt.votes if v.verdict == prompt.answer]
    by = f"by {', '.join(consents)}" if len(consents) > 1 else by
    via = f" via {prompt.via}" if prompt.via and len(consents) < 2 else ""
    said = prompt.answer if prompt.value is None else ""
    return ", ".join(filter(None, [said, f"answered {by}{via}"])) + (f": {prompt.why}" if prompt.why else "")


def value_rows(prompt: Prompt) -> list[tuple[str, str]]:
    """What a form was answered with, field by field; secrets as ``***``."""
    value: Any = masked(prompt.value)
    if prompt.state != PromptState.ANSWERED or value is None:
        return []
    if isinstance(value, dict):
        titles = ((prompt.question.schema or {}).get("properties") or {}) if prompt.question else {}
        return [(str((titles.get(name) or {}).get("title") or name), _shown(item)) for name, item in value.items()]
    return [("", _shown(value))]


def veiled(prompt: Prompt, veil: Callable[[Any], Any]) -> Prompt:
    """A copy without what ``veil`` masks, and without sealed secrets."""
    prompt = msgspec.structs.replace(prompt, text=veil(prompt.text), request=veil(prompt.request), value=veil(masked(prompt.value)))
    if prompt.question is not None:
        told = {name: veil(getattr(prompt.question, name)) for name in ("target", "command")}
        prompt = msgspec.structs.replace(prompt, question=msgspec.structs.replace(prompt.question, **told))
    return prompt


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)

"""Who may answer a question."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.errors import PromptError
from holdfast.foundation import clock
from holdfast.model.handover import among
from holdfast.model.prompt import Prompt, PromptKind


def may_answer(prompt: Prompt, who: str, groups: Iterable[str] = (), *, at: float | None = None) -> bool:
    """Whether the question lets this person answer it.

    Args:
        prompt: the question.
        who: the person's name.
        groups: that the person is in.
        at: seconds since the epoch, for whether it has been escalated; now by default.
    """
    return refusal(prompt, who, groups, at=at) is None


def refusal(prompt: Prompt, who: str, groups: Iterable[str] = (), *, at: float | None = None) -> str | None:
    """Why the question does not let this person answer it; None when it does. The arguments are those of :func:`may_answer`."""
    question = prompt.question
    if question is None:
        return None
    if not who:
        return "nobody is named as the one who answers"
    if question.not_self:
        if not question.started_by:
            return "it is not known who started the execution, and that person may not approve it"
        if who == question.started_by:
            return f"{who} started the execution and may not approve it"
    allowed = who_may(prompt, at=at)
    if allowed and not among(who, groups, allowed):
        return f"{who} is not among those who may answer: {', '.join(allowed)}"
    if prompt.kind == PromptKind.APPROVE and any(vote.who == who for vote in prompt.votes):
        return f"{who} has voted already"
    return None


def who_may(prompt: Prompt, *, at: float | None = None) -> tuple[str, ...]:
    """The people and groups that may answer at that time (seconds since the epoch; now by default); empty: anybody."""
    question = prompt.question
    if question is None or not question.who:
        return ()
    now = clock.now() if at is None else at
    escalated = question.escalate_after is not None and now >= prompt.opened_at + question.escalate_after
    return tuple(dict.fromkeys((*question.who, *(question.escalate_to if escalated else ()))))


def check(prompt: Prompt, who: str, groups: Iterable[str]) -> None:
    """Raise ``PromptError`` HF406, or HF407 for a second vote, when this person may not answer."""
    why = refusal(prompt, who, groups)
    if why is None:
        return
    if any(vote.who == who for vote in prompt.votes):
        raise PromptError("HF407", why, cure="one vote a person; somebody else must give the next", prompt=prompt.id)
    allowed = who_may(prompt)
    cure = f"ask one of them: {', '.join(allowed)}" if allowed else "somebody else must answer"
    raise PromptError("HF406", why, cure=cure, prompt=prompt.id)

"""Whether an answer fits its question, and the form in which it is kept."""

from __future__ import annotations

from typing import Any

from holdfast.errors import PromptError
from holdfast.model.prompt import ANSWER, DECLINE, NO, YES, Prompt, PromptKind
from holdfast.prompts import schemas

_YES_NO = frozenset({PromptKind.CONFIRM, PromptKind.APPROVE})
_WORDS = {True: YES, False: NO}


def fit(prompt: Prompt, verdict: str | None, value: Any) -> tuple[str, Any]:
    """The verdict and the value as they are kept.

    Where the question is an author's, either may stand for the other: ``--value true`` is ``yes``, an option's value is the option,
    a form's value needs no verdict, and a line of text answers a question without options.

    Raises:
        PromptError: HF402 not one of its verdicts, HF404 the verdict takes no value, HF405 the value does not fit the form.
    """
    if prompt.question is not None:
        verdict, value = _translated(prompt, verdict, value)
    if verdict is None or verdict not in prompt.verdicts:
        what = f"{verdict!r} is no answer to this prompt" if verdict is not None else "a verdict is missing"
        raise PromptError("HF402", what, cure=f"answer one of: {', '.join(prompt.verdicts)}", prompt=prompt.id)
    if takes_value(prompt, verdict):
        return verdict, _checked(prompt, value)
    if value is not None and verdict != "happened":
        raise PromptError("HF404", f"the verdict {verdict!r} takes no value", cure="leave the value out", prompt=prompt.id)
    return verdict, value


def takes_value(prompt: Prompt, verdict: str) -> bool:
    """Whether a verdict comes with a value that must fit a schema."""
    return verdict == ANSWER and prompt.question is not None and prompt.question.schema is not None


def _translated(prompt: Prompt, verdict: str | None, value: Any) -> tuple[str | None, Any]:
    """One way of saying it, however it was said."""
    question = prompt.question
    assert question is not None
    if verdict is not None and prompt.kind in _YES_NO:
        verdict = verdict.strip().lower()
    if prompt.kind in _YES_NO and isinstance(value, bool) and verdict in (None, _WORDS[value]):
        return _WORDS[value], None
    if prompt.kind == PromptKind.ASK and question.options:
        if verdict is None and value is not None:
            matching = [v for v, o in zip(prompt.verdicts, question.options, strict=True) if type(o) is type(value) and o == value]
            return (matching[0] if matching else str(value)), None
        return verdict, value
    if question.schema is not None:
        if verdict is None and value is not None:
            return ANSWER, value
        if prompt.kind == PromptKind.ASK and verdict is not None and value is None and verdict != DECLINE:
            return ANSWER, verdict  # a line of text
    return verdict, value


def _checked(prompt: Prompt, value: Any) -> Any:
    question = prompt.question
    assert question is not None
    assert question.schema is not None
    if value is None:
        raise PromptError("HF405", "the answer has no value", cure="give one: --value JSON", prompt=prompt.id)
    value = schemas.with_defaults(question.schema, value)
    wrong = schemas.misfits(question.schema, value)
    if wrong:
        said = "; ".join(f"{field}: {what}" if field else what for field, what in wrong[:5])
        raise PromptError("HF405", f"the answer does not fit: {said}", cure="`holdfast prompts --json` shows the schema", prompt=prompt.id)
    return value


def check_extras(prompt: Prompt, verdict: str, why: str | None, typed: str | None) -> None:
    """Whether the reason and the typed name are there where the question wants them.

    Raises:
        PromptError: HF408 a reason is needed, HF409 the name was not typed as it is written.
    """
    question = prompt.question
    if question is None:
        return
    if question.why and not (why or "").strip():
        raise PromptError("HF408", "this prompt wants a reason", cure="say why: --why TEXT", prompt=prompt.id)
    if question.typed is not None and verdict == YES and typed != question.typed:
        what = "the name was not typed" if not typed else f"{typed!r} was typed, not {question.typed!r}"
        raise PromptError("HF409", what, cure=f"type the name to consent: --typed {question.typed}", prompt=prompt.id)

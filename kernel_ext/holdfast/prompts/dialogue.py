"""A question as a conversation by lines, for terminals: says what to ask next, takes what was typed, until the answer is whole."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.model.prompt import ANSWER, DECLINE, YES, Prompt, PromptKind
from holdfast.prompts import schemas
from holdfast.prompts.fields import MISSING, Field, fields, read
from holdfast.prompts.wording import facts

_SHORT = {"y": "yes", "n": "no"}


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, as ``answering.answer`` takes it."""

    verdict: str | None
    value: Any = None
    why: str | None = None
    typed: str | None = None


class Dialogue:
    """One prompt being answered.

    Args:
        prompt: open.

    After a :meth:`take` that returned None, ``line`` is what to ask for next; ``secret`` says that it must not be shown.
    """

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.secret = False
        self._talk = self._conversation()
        self.line: str = next(self._talk)

    def take(self, typed: str) -> Given | None:
        """One line typed. Returns the answer once it is whole."""
        try:
            self.line = self._talk.send(typed)
        except StopIteration as done:
            given: Given = done.value
            return given
        return None

    @property
    def heading(self) -> str:
        """What is said before the first line."""
        width = max((len(name) for name, _ in facts(self.prompt)), default=0)
        return "\n".join([f"? {self.prompt.text}", *(f"    {name.ljust(width)}  {value}" for name, value in facts(self.prompt))])

    def _conversation(self) -> Any:
        prompt, question = self.prompt, self.prompt.question
        verdict: str | None
        value = typed = None
        if question is not None and question.schema is not None and prompt.kind == PromptKind.FORM:
            verdict, value = yield from self._form(question.schema)
        elif question is not None and question.schema is not None:
            said = ""
            while not said.strip():
                said = yield f"  your answer ({DECLINE} to decline): "
            verdict, value = (DECLINE, None) if said.strip() == DECLINE else (ANSWER, said)
        else:
            verdict = yield from self._choice()
        if question is not None and question.typed is not None and verdict == YES:
            typed = yield f"  to consent, type {question.typed}: "
            if typed != question.typed:
                typed = yield f"  that is not it; type {question.typed} exactly: "
        why = None
        while question is not None and question.why and not (why or "").strip():
            why = yield "  why: "
        return Given(verdict=verdict, value=value, why=why, typed=typed)

    def _choice(self) -> Any:
        verdicts = self.prompt.verdicts
        numbered = len(verdicts) > 2 or any(" " in v for v in verdicts)
        shown = "".join(f"    {n}. {v}\n" for n, v in enumerate(verdicts, 1)) if numbered else ""
        hint = "  number or answer: " if numbered else f"  {'/'.join(verdicts)}: "
        line = shown + hint
        while True:
            word = (yield line).strip()
            if numbered and word not in verdicts and word.isdigit() and 1 <= int(word) <= len(verdicts):
                return verdicts[int(word) - 1]
            found = next((v for v in verdicts if v.lower() in (word.lower(), _SHORT.get(word.lower()))), None)
            if found is not None:
                return found
            line = f"  {word!r} is none of them\n{hint}" if word else hint

    def _form(self, schema: dict[str, Any]) -> Any:
        said = f"    (fields with * are needed; {DECLINE} declines)\n"
        while True:
            value: dict[str, Any] = {}
            for field in fields(schema):
                self.secret = field.shape == "secret"
                typed = yield said + _label(field)
                self.secret, said = False, ""
                if typed.strip() == DECLINE and field.shape != "secret":
                    return DECLINE, None
                if (given := _read(field, typed)) is not MISSING:
                    value[field.name] = given
            wrong = schemas.misfits(schema, schemas.with_defaults(schema, value))
            if not wrong:
                return ANSWER, value
            said = "".join(f"    {': '.join(filter(None, one))}\n" for one in wrong) + "    once more:\n"


def _label(field: Field) -> str:
    options = f" ({'/'.join(map(str, field.options))})" if field.options else " (yes/no)" if field.shape == "flag" else ""
    hint = f" - {field.hint}" if field.hint else ""
    default = f" [{field.default}]" if field.default is not MISSING and field.shape != "secret" else ""
    return f"  {field.title}{' *' if field.needed else ''}{options}{hint}{default}: "


def _read(field: Field, typed: str) -> Any:
    given = read(field, typed)
    return False if given is MISSING and field.shape == "flag" and field.default is MISSING and field.needed else given

"""A prompt as Slack shows it: a message with buttons, and a modal where a button is not enough. Limits are those of Slack's Block Kit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from holdfast.channels.channel import Sending
from holdfast.channels.message import heading, rows
from holdfast.model.prompt import ANSWER, DECLINE, YES, Prompt, PromptKind, PromptState, Question
from holdfast.prompts.fields import MISSING, Field, fields, read
from holdfast.prompts.sealing import has_secrets
from holdfast.prompts.wording import how_to_answer

Block = dict[str, Any]

#: Action ids: a verdict at once, a verdict from a menu, and the question in full.
SAY: Final = "holdfast_say"
PICK: Final = "holdfast_pick"
OPEN: Final = "holdfast_open"
MODAL: Final = "holdfast_answer"

_SECTION, _BUTTON, _TITLE, _PLACEHOLDER = 3000, 75, 24, 150
_FIELD, _FIELDS, _MOST_BUTTONS, _MOST_OPTIONS = 2000, 10, 5, 100
_LABELS: Final = {
    "happened": "It happened", "run": "Run it", "skip": "Skip it", "abort": "Abort", "use": "Use the record", "yes": "Yes", "no": "No",
}  # fmt: skip
_STYLES: Final = {"yes": "primary", "no": "danger", "abort": "danger", "decline": "danger"}
_VALUE: Final = "value."
_INPUT: Final = "given"


def text_of(sending: Sending) -> str:
    """The message for notifications and for readers without blocks."""
    return _cut(f"{escape(heading(sending))}\n{escape(sending.prompt.text)}", _SECTION)


def blocks(sending: Sending) -> list[Block]:
    """The message."""
    prompt = sending.prompt
    made: list[Block] = [_section(f"*{escape(heading(sending))}*\n{escape(prompt.text)}")]
    told = [_markdown(_cut(f"*{escape(name)}*\n{_code(name, value)}", _FIELD)) for name, value in rows(sending)]
    for at in range(0, len(told), _FIELDS):
        made.append({"type": "section", "fields": told[at : at + _FIELDS]})
    if prompt.state != PromptState.OPEN:
        return made
    made.append({"type": "actions", "block_id": f"answer.{prompt.id}"[:255], "elements": _buttons(prompt)})
    elsewhere = f"`{escape(how_to_answer(prompt))}`"
    if sending.page:
        elsewhere = f"<{sending.page}|Open it in the inbox>, or {elsewhere}"
    made.append({"type": "context", "elements": [_markdown(_cut(elsewhere, _FIELD))]})
    return made


def reminder(sending: Sending) -> list[Block]:
    """A reminder, in the thread of the question."""
    return [_section(f":bell: *{escape(heading(sending))}*\n{escape(sending.prompt.text)}\nThe buttons are at the top of this thread.")]


def needs_modal(prompt: Prompt) -> bool:
    """Whether a click is not the whole answer."""
    question = prompt.question
    return question is not None and (question.schema is not None or question.why or question.typed is not None)


def _buttons(prompt: Prompt) -> list[Block]:
    question = prompt.question
    if question is not None and question.schema is not None:
        decline = _button(f"{OPEN if question.why else SAY}_1", "Decline", prompt.id, DECLINE)
        if has_secrets(question.schema):  # Slack keeps what is typed there
            return [decline]
        return [_button(f"{OPEN}_0", "Answer …", prompt.id, ANSWER, style="primary"), decline]
    if len(prompt.verdicts) > _MOST_BUTTONS:
        options = [_option(v, json.dumps(n)) for n, v in enumerate(prompt.verdicts[:_MOST_OPTIONS])]
        menu = {"type": "static_select", "action_id": PICK, "placeholder": _plain("Choose", _PLACEHOLDER), "options": options}
        return [menu]
    action = OPEN if needs_modal(prompt) else SAY
    return [
        _button(f"{action}_{n}", _LABELS.get(v, v), prompt.id, v, style=_STYLES.get(v)) for n, v in enumerate(prompt.verdicts)
    ]  # fmt: skip


# ---- the modal


def modal(prompt: Prompt, verdict: str | None, context: Mapping[str, Any]) -> Block:
    """The view in which the rest of the answer is given.

    Args:
        verdict: what was clicked.
        context: comes back with what is submitted.
    """
    question = prompt.question or Question()
    made: list[Block] = [_section(escape(prompt.text))]
    private = {**context, "prompt": prompt.id, "verdict": verdict}
    if question.schema is not None and verdict != DECLINE:
        if prompt.kind == PromptKind.FORM:
            made += [_input(field) for field in fields(question.schema)]
        else:
            made.append(_text_input(_VALUE.rstrip("."), "Answer", lines=True))
    elif verdict is not None:
        made.append(_section(f"Your answer: *{escape(_LABELS.get(verdict, verdict))}*"))
    if question.typed is not None and verdict == YES:
        made.append(_text_input("typed", f"To consent, type {question.typed}", hint="exactly as it is written"))
    made.append(_text_input("why", "Reason", lines=True, optional=not question.why))
    return {
        "type": "modal", "callback_id": MODAL, "private_metadata": json.dumps(private), "title": _plain("Your answer", _TITLE),
        "submit": _plain("Send", _TITLE), "close": _plain("Cancel", _TITLE), "blocks": made,
    }  # fmt: skip


def result(title: str, text: str) -> Block:
    """A view that only tells."""
    return {"type": "modal", "title": _plain(title, _TITLE), "close": _plain("Close", _TITLE), "blocks": [_section(escape(text))]}


def submitted(view: Mapping[str, Any], prompt: Prompt) -> tuple[Any, str | None, str | None]:
    """Value, reason and typed name that a view was submitted with."""
    state: dict[str, Mapping[str, Any]] = {
        block: next(iter(actions.values()), {}) for block, actions in ((view.get("state") or {}).get("values") or {}).items()
    }
    question = prompt.question or Question()
    value: Any = None
    if question.schema is not None and prompt.kind == PromptKind.FORM:
        given = {field.name: _given(field, state.get(f"{_VALUE}{field.name}", {})) for field in fields(question.schema)}
        value = {name: item for name, item in given.items() if item is not MISSING}
    elif question.schema is not None:
        value = _said(state.get(_VALUE.rstrip("."), {})) or None
    return value, _said(state.get("why", {})) or None, _said(state.get("typed", {})) or None


def block_of(error_field: str, prompt: Prompt) -> str | None:
    """The input that a wrong field belongs to: ``error_field`` is a path (``size``, ``items/0``); None when there is none."""
    question = prompt.question or Question()
    if question.schema is None:
        return None
    if prompt.kind != PromptKind.FORM:
        return _VALUE.rstrip(".")
    name = error_field.partition("/")[0]
    return f"{_VALUE}{name}" if any(field.name == name for field in fields(question.schema)) else None


def _given(field: Field, state: Mapping[str, Any]) -> Any:
    kind = state.get("type")
    if kind == "checkboxes":
        return bool(state.get("selected_options"))
    if kind in ("static_select", "radio_buttons"):
        chosen = state.get("selected_option") or {}
        return field.options[int(chosen["value"])] if str(chosen.get("value", "")).isdigit() else MISSING
    return read(field, _said(state))


def _said(state: Mapping[str, Any]) -> str:
    return str(state.get("value") or "")


def _input(field: Field) -> Block:
    block = f"{_VALUE}{field.name}"
    if field.shape == "choice" and len(field.options) <= _MOST_OPTIONS:
        options = [_option(str(o), str(n)) for n, o in enumerate(field.options)]
        element = {"type": "static_select", "action_id": _INPUT, "options": options, "placeholder": _plain("Choose", _PLACEHOLDER)}
        if field.default in field.options:
            element["initial_option"] = options[field.options.index(field.default)]
        return _labelled(block, field.title, element, optional=not field.needed, hint=field.hint)
    if field.shape == "flag":
        options = [_option("Yes", "true")]
        element = {"type": "checkboxes", "action_id": _INPUT, "options": options}
        if field.default is True:
            element["initial_options"] = options
        return _labelled(block, field.title, element, optional=True, hint=field.hint)
    initial = "" if field.default is MISSING or field.default is None else field.default
    shown = initial if isinstance(initial, str) else json.dumps(initial)
    return _text_input(
        block, field.title, lines=field.shape in ("lines", "json"), optional=not field.needed, hint=field.hint, initial=shown
    )


def _text_input(block: str, label: str, *, lines: bool = False, optional: bool = False, hint: str = "", initial: str = "") -> Block:
    element: Block = {"type": "plain_text_input", "action_id": _INPUT, "multiline": lines}
    if initial:
        element["initial_value"] = initial
    return _labelled(block, label, element, optional=optional, hint=hint)


def _labelled(block: str, label: str, element: Block, *, optional: bool, hint: str) -> Block:
    made = {"type": "input", "block_id": block[:255], "label": _plain(label, _FIELD), "element": element, "optional": optional}
    return {**made, "hint": _plain(hint, _FIELD)} if hint else made


# ---- parts


def escape(text: str) -> str:
    """So that a text mentions nobody and links nowhere."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _button(action: str, label: str, prompt: str, verdict: str, *, style: str | None = None) -> Block:
    made = {"type": "button", "action_id": action, "text": _plain(label, _BUTTON), "value": json.dumps([prompt, verdict])}
    return {**made, "style": style} if style else made


def _option(label: str, value: str) -> Block:
    return {"text": _plain(label, _BUTTON), "value": value}


def _section(text: str) -> Block:
    return {"type": "section", "text": _markdown(_cut(text, _SECTION))}


def _markdown(text: str) -> Block:
    return {"type": "mrkdwn", "text": text}


def _plain(text: str, most: int) -> Block:
    return {"type": "plain_text", "text": _cut(text, most) or "–"}


def _code(name: str, value: str) -> str:
    shown = escape(value)
    return f"`{shown.replace('`', chr(39))}`" if name in ("command", "call") and "\n" not in shown else shown


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

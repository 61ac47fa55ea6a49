"""A question as a form of ipywidgets: labels, inline errors, a countdown; live while the cell waits, disabled when it was answered
elsewhere, and replaced by a card for good. What is typed into it never enters the cell's record."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from holdfast.errors import HoldfastError, PromptError
from holdfast.foundation import clock
from holdfast.kernel import tap
from holdfast.kernel.cards import card, heading
from holdfast.kernel.questions import Answer, Shown
from holdfast.model.prompt import ANSWER, DECLINE, NO, YES, Prompt, PromptKind, PromptState
from holdfast.prompts import schemas
from holdfast.prompts.fields import MISSING, Field, fields, read
from holdfast.prompts.wording import end, time_left

_WIDTH = "34em"
_LABEL = {"description_width": "10em"}
_CHOOSE = "(choose)"
_BUTTON = {YES: "success", ANSWER: "primary", NO: "", DECLINE: ""}


class Form(Shown):
    """One prompt in a notebook's output.

    Args:
        prompt: open.
        answer_of: makes the function that answers it.
        kernel: ipykernel's.
    """

    live = True

    def __init__(self, prompt: Prompt, answer_of: Callable[[str], Answer], kernel: Any) -> None:
        super().__init__(prompt)
        self._prompt, self._answer = prompt, answer_of(prompt.id)
        self._kernel = kernel
        self._next = 0.0  # when the countdown is told again
        self._inputs: list[tuple[Field, Any, Any]] = []  # field, its widget, the line for its error
        with tap.private(kernel.session):
            self._box = self._build()
        self.publish({"text/plain": card(prompt)["text/plain"], "application/vnd.jupyter.widget-view+json": _view(self._box)})

    # ---- building

    def _build(self) -> Any:
        prompt, question = self._prompt, self._prompt.question
        rows: list[Any] = [widgets.HTML(heading(prompt))]
        if question is not None and question.schema is not None:
            listed = fields(question.schema) if prompt.kind == PromptKind.FORM else [_LINE]
            rows += [part for field in listed for part in self._input(field)]
        self._typed = self._reason = None
        if question is not None and question.typed is not None:
            self._typed = _text("Name", f"type {question.typed} to consent")
            rows.append(self._typed)
        if question is not None and question.why:
            self._reason = _text("Reason *", "why")
            rows.append(self._reason)
        self._error = widgets.HTML("")
        self._status = widgets.HTML(self._told(prompt))
        self._buttons = [self._button(verdict) for verdict in prompt.verdicts]
        layout = widgets.Layout(flex_flow="row wrap", margin="4px 0")
        rows += [self._error, widgets.HBox(self._buttons, layout=layout), self._status]
        frame = {"border_left": "4px solid #e0a100", "padding": "6px 12px", "max_width": "48em"}
        return widgets.VBox(rows, layout=widgets.Layout(**frame))

    def _button(self, verdict: str) -> Any:
        question = self._prompt.question
        names = {YES: "Yes", NO: "No", ANSWER: "Submit", DECLINE: "Decline"}
        words = {**names, YES: "Approve", NO: "Refuse"} if self._prompt.kind == PromptKind.APPROVE else names
        known = self._prompt.kind != PromptKind.ASK or (question is not None and question.schema is not None)
        style = _BUTTON.get(verdict, "") if known else ""
        if verdict == YES and question is not None and question.typed is not None:
            style = "danger"
        made = widgets.Button(
            description=words.get(verdict, verdict) if known else verdict,
            tooltip=f"Answer {verdict}",
            button_style=style,
            layout=widgets.Layout(width="auto", min_width="6em"),
        )
        made.on_click(lambda _: self._give(verdict))
        return made

    def _input(self, field: Field) -> tuple[Any, Any]:
        made = _widget(field)
        error = widgets.HTML("")
        made.observe(lambda _: setattr(error, "value", ""), "value")
        self._inputs.append((field, made, error))
        return made, error

    # ---- answering

    def _give(self, verdict: str) -> None:
        """A button was pressed."""
        for _, _, line in self._inputs:
            line.value = ""
        self._error.value = ""
        try:
            value = self._value() if verdict == ANSWER else None
            if value is MISSING:
                return
            why = self._reason.value.strip() or None if self._reason is not None else None
            typed = self._typed.value if self._typed is not None and verdict == YES else None
            after = self._answer(verdict, value, why, typed)
        except PromptError as error:
            self._error.value = _alert(error.what if error.code != "HF405" else f"{error.what}. {error.cure}")
        except HoldfastError as error:
            self._error.value = _alert(str(error))
        else:
            if after.state == PromptState.OPEN:
                self._status.value = self._told(after)
                self._freeze()

    def _value(self) -> Any:
        """What the form holds; :data:`MISSING`, with the errors shown, when it does not fit."""
        question = self._prompt.question
        assert question is not None
        assert question.schema is not None
        if self._prompt.kind == PromptKind.ASK:
            value: Any = self._inputs[0][1].value
        else:
            given = {field.name: _given(field, widget) for field, widget, _ in self._inputs}
            value = {name: item for name, item in given.items() if item is not MISSING}
        wrong = schemas.misfits(question.schema, schemas.with_defaults(question.schema, value))
        if not wrong:
            return value
        rest = []
        for path, what in wrong:
            line = next((e for field, _, e in self._inputs if field.name == path.partition("/")[0] or not field.name), None)
            if line is None:
                rest.append(what)
            elif not line.value:
                line.value = _alert(what)
        self._error.value = _alert("; ".join(rest)) if rest else ""
        return MISSING

    # ---- going on

    def tick(self, prompt: Prompt) -> None:
        """The countdown, told more often as the end comes near; the votes at once."""
        now = clock.now()
        if len(prompt.votes) == len(self._prompt.votes) and (prompt.due_at is None or now < self._next):
            return
        left = (prompt.due_at or now) - now
        self._next = now + (1.0 if left < 60 else 10.0 if left < 600 else 60.0)
        self._prompt = prompt
        told = self._told(prompt)
        if told != self._status.value:
            self._status.value = told

    def close(self, prompt: Prompt) -> None:
        """Nothing can be clicked any more; the output is a card from now on, a page that was loaded meanwhile shows it as well."""
        bundle = card(prompt)
        self._freeze()
        self._status.value = f'<span role="status">{escape(end(prompt) or "no longer waited for here")}</span>'
        if prompt.state != PromptState.OPEN:
            with tap.private(self._kernel.session):
                self._box.children, self._box.layout = (widgets.HTML(bundle["text/html"]),), widgets.Layout()
        self.publish(bundle)

    def _freeze(self) -> None:
        for part in (*self._buttons, *(w for _, w, _ in self._inputs), self._typed, self._reason):
            if part is not None:
                part.disabled = True

    @staticmethod
    def _told(prompt: Prompt) -> str:
        said = []
        if prompt.question is not None and prompt.question.at_least > 1:
            votes = ", ".join(v.who for v in prompt.votes)
            said.append(f"{len(prompt.votes)} of {prompt.question.at_least} have consented" + (f": {votes}" if votes else ""))
        if left := time_left(prompt):
            said.append(f"Time left: {left}")
        return f'<span role="timer" style="opacity:.8">{escape(". ".join(said))}</span>' if said else ""


#: The one field of a question without options.
_LINE = Field(name="", title="Answer", shape="text", needed=True)


def _widget(field: Field) -> Any:
    """The input for a field; its description is its accessible name."""
    common: dict[str, Any] = {
        "description": field.title + (" *" if field.needed else ""),
        "tooltip": field.hint or field.title,
        "style": _LABEL,
        "layout": widgets.Layout(width=_WIDTH),
    }
    default = None if field.default is MISSING else field.default
    if field.shape == "choice":
        options = [(str(option), option) for option in field.options]
        chosen = default if default in field.options else None
        listed = [(_CHOOSE, None), *options] if chosen is None else options
        return widgets.Dropdown(options=listed, index=next(n for n, (_, value) in enumerate(listed) if value == chosen), **common)
    if field.shape == "flag":
        return widgets.Checkbox(value=default is True, indent=True, **common)
    text = "" if default is None else default if isinstance(default, str) else _json(default)
    kind = {"secret": widgets.Password, "lines": widgets.Textarea, "json": widgets.Textarea}.get(field.shape, widgets.Text)
    return kind(value="" if field.shape == "secret" else text, placeholder=field.hint, **common)


def _given(field: Field, widget: Any) -> Any:
    if field.shape == "choice":
        return MISSING if widget.value is None else widget.value
    if field.shape == "flag":
        return bool(widget.value)
    return read(field, widget.value)


def _text(name: str, hint: str) -> Any:
    return widgets.Text(description=name, placeholder=hint, tooltip=hint, style=_LABEL, layout=widgets.Layout(width=_WIDTH))


def _alert(text: str) -> str:
    return f'<div role="alert" style="color:var(--jp-error-color1,#c62828);margin-left:10.5em">{escape(text)}</div>'


def _view(box: Any) -> dict[str, Any]:
    return {"version_major": 2, "version_minor": 0, "model_id": box.model_id}


def _json(value: Any) -> str:
    import json

    return json.dumps(value)

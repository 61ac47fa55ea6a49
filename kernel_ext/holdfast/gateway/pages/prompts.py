"""The inbox: open questions, one question, an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from holdfast.errors import PromptError, RequestError
from holdfast.gateway import asking, forms, handing, problems
from holdfast.gateway.asker import Asker, Asking
from holdfast.gateway.pages.drawing import page
from holdfast.gateway.texts import PromptId, Text, clean_text, clean_value
from holdfast.model.prompt import ANSWER, Prompt, PromptState, Question
from holdfast.prompts import listing
from holdfast.prompts.allowed import who_may

router = APIRouter()
_LONGEST_WHY = 2000
_PAGE = 1000
_ONE = "answer"

Sent = Mapping[str, Sequence[str]]


async def sent(request: Request) -> dict[str, list[str]]:
    """What a form sent: name -> texts.

    Raises:
        RequestError: HF710.
    """
    found: dict[str, list[str]] = {}
    for name, value in (await request.form()).multi_items():
        if isinstance(value, UploadFile):
            raise RequestError("HF710", "no field takes a file", cure="Go back and try again.")
        try:
            found.setdefault(clean_text(name), []).append(clean_text(value))
        except ValueError as error:
            raise RequestError("HF710", f"a field {error}", cure="Go back and type it again.") from None
    return found


Filled = Annotated[dict[str, list[str]], Depends(sent)]


@router.get("/")
def inbox(
    request: Request,
    asker: Asking,
    mine: bool = False,
    text: Annotated[Text, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """Open questions, the most urgent first; and what is offered."""
    last = asker.hall.store.streams.newest_change()
    some = asking.open_prompts(asker, text=text, mine=mine, urgent=True, offset=offset, limit=_PAGE)
    given = [(one, header, handing.may_take(asker, header, one)) for one, header in handing.offers(asker)]
    return page(
        request, "inbox.html", asker, found=some.found, total=some.total, text=text, mine=mine, offset=offset, size=_PAGE, last=last,
        offers=[o for o in given if o[2] or not mine],
    )  # fmt: skip


@router.get("/prompts/{id}")
def look(request: Request, asker: Asking, id: PromptId) -> Response:
    """One question with its evidence."""
    return show(request, asker, id)


@router.post("/prompts/{id}")
async def answer(request: Request, asker: Asking, id: PromptId, filled: Filled) -> Response:
    """Answer it."""
    return await run_in_threadpool(take, request, asker, id, filled)


def show(request: Request, asker: Asker, id: str, *, guest: bool = False) -> Response:
    """The page of a question. ``guest``: for somebody who came by a link and sees nothing else."""
    return _show(request, asker, asking.prompt(asker, id), {}, {}, guest=guest)


def take(request: Request, asker: Asker, id: str, filled: Sent, *, guest: bool = False) -> Response:
    """Answer a question with what its form held."""
    found = asking.prompt(asker, id)
    verdict, why, typed = (first(filled, name) for name in ("verdict", "why", "typed"))
    value, errors = _value(found.prompt, verdict, filled)
    if len(why) > _LONGEST_WHY:
        errors["why"] = f"has more than {_LONGEST_WHY} characters"
    if errors:
        return _show(request, asker, found, filled, errors, status=422, guest=guest)
    try:
        done = asking.answer(asker, id, verdict or None, value=value, why=why, typed=typed or None)
    except PromptError as error:
        if error.code == "HF401":  # somebody else was faster: say who
            return _show(request, asker, asking.prompt(asker, id), filled, {}, status=409, late=True, guest=guest)
        place = {"HF408": "why", "HF409": "typed", "HF402": "verdict"}.get(error.code, "")
        return _show(request, asker, asking.prompt(asker, id), filled, {place: error.what}, status=problems.status_of(error), guest=guest)
    return _show(request, asker, done, {}, {}, done=True, guest=guest)


def _value(prompt: Prompt, verdict: str, filled: Sent) -> tuple[Any, dict[str, str]]:
    """What the form holds beside the verdict, and what is wrong with it."""
    schema = _schema(prompt)
    if schema is not None and verdict == ANSWER:
        value, errors = forms.read(schema, filled)
        try:
            value = clean_value(value)
        except ValueError as error:
            errors[""] = f"the answer {error}"
        return (value.get(_ONE) if _is_one(prompt) else value), errors
    text = first(filled, "result")
    if verdict != "happened" or not text.strip():
        return None, {}
    try:
        return clean_value(json.loads(text)), {}
    except ValueError as error:
        return None, {"result": "is not JSON: write texts in quotes" if isinstance(error, json.JSONDecodeError) else str(error)}


def _show(
    request: Request,
    asker: Asker,
    found: asking.Shown,
    filled: Sent,
    errors: dict[str, str],
    *,
    status: int = 200,
    late: bool = False,
    done: bool = False,
    guest: bool = False,
) -> Response:
    prompt, question = found.prompt, found.prompt.question or Question()
    schema = _schema(prompt)
    fields = forms.fields(schema) if schema is not None else []
    if filled:
        forms.marked(fields, errors, filled)
    flat = {f.path for f in _all(fields)}
    return page(
        request, "prompt.html", asker, status=status, found=found, prompt=prompt, question=question, execution=found.execution,
        fields=fields, errors=errors, others=[t for p, t in errors.items() if p not in flat and p not in ("why", "typed", "result")],
        filled={name: first(filled, name) for name in ("why", "typed", "result")}, late=late, done=done,
        open=prompt.state == PromptState.OPEN, last=listing.last_seq(asker.hall.store, prompt.execution),
        takes_result="happened" in prompt.verdicts, who=who_may(prompt),
        voted=len(prompt.votes), as_form=schema is not None, guest=guest,
    )  # fmt: skip


def _all(fields: Sequence[forms.Field]) -> list[forms.Field]:
    return [one for f in fields for one in (f, *_all(f.fields))]


def _is_one(prompt: Prompt) -> bool:
    """Whether the answer is one value, not an object."""
    schema = prompt.question.schema if prompt.question is not None else None
    return schema is not None and schema.get("type", "object") != "object"


def _schema(prompt: Prompt) -> dict[str, Any] | None:
    schema = prompt.question.schema if prompt.question is not None else None
    if schema is not None and _is_one(prompt):
        return {"type": "object", "properties": {_ONE: {"title": "Answer", "maxLength": 2000, **schema}}, "required": [_ONE]}
    return schema


def first(filled: Sent, name: str) -> str:
    values = filled.get(name) or [""]
    return values[0]

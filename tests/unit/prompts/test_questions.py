"""What may be asked, and what could never be answered or would consent by itself."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from holdfast.errors import AuthorError
from holdfast.model.prompt import PromptKind
from holdfast.prompts.questions import consents, question

FORM = {"type": "object", "properties": {"reason": {"type": "string"}, "force": {"type": "boolean", "default": False}}}
GROUPS = {"oncall": ["ann", "bob"], "leads": ["eve"]}


def asked(kind: str, **more: Any) -> Any:
    return question(PromptKind(kind), more.pop("text", "Go on?"), **more)


def test_each_kind_has_its_answers() -> None:
    assert asked("confirm").verdicts == ("yes", "no")
    assert asked("approve").verdicts == ("yes", "no")
    assert asked("ask", options=[1, "two"]).verdicts == ("1", "two")
    assert asked("ask", options=[1, "two"]).question.options == (1, "two")
    assert asked("ask", options={"first": {"a": 1}, "second": None}).question.options == ({"a": 1}, None)
    assert asked("ask").verdicts == ("answer", "decline")
    assert asked("form", schema=FORM).question.schema == FORM


def test_times_are_spans() -> None:
    made = asked("confirm", timeout="2 hours", remind_every=90, escalate_to="group:leads", escalate_after=datetime.timedelta(minutes=5))
    assert (made.timeout, made.question.remind_every, made.question.escalate_after) == (7200, 90, 300)
    assert asked("confirm", timeout="1h 30m").timeout == 5400


def test_several_targets_are_counted() -> None:
    made = asked("confirm", target=["vol-1", "vol-2"], command="aws ec2 delete-volume")
    assert (made.question.target, made.question.count, made.question.command) == ("vol-1, vol-2", 2, "aws ec2 delete-volume")


def test_a_destructive_question_wants_a_name_typed() -> None:
    assert asked("confirm", target="prod-eu", destructive=True).question.typed == "prod-eu"
    assert asked("approve", destructive="12 volumes").question.typed == "12 volumes"
    assert asked("confirm", target=["only"], destructive=True).question.typed == "only"


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "  "},
        {"timeout": "soon"},
        {"timeout": 0},
        {"timeout": -5},
        {"timeout": True},
        {"on_timeout": "no"},
        {"timeout": 5, "on_timeout": "yes"},
        {"timeout": 5, "on_timeout": True},
        {"timeout": 5, "on_timeout": "approve"},
        {"timeout": 5, "on_timeout": 1},
        {"timeout": 5, "on_timeout": None},
        {"who": ""},
        {"who": []},
        {"who": [3]},
        {"remind_every": 0.5},
        {"escalate_to": "eve"},
        {"escalate_after": 5},
        {"count": -1},
        {"count": "many"},
        {"destructive": True},
        {"destructive": True, "target": ["a", "b"]},
    ],
)
def test_a_confirmation_that_cannot_be_asked(arguments: dict[str, Any]) -> None:
    with pytest.raises(AuthorError, match="HF158"):
        asked("confirm", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"options": []},
        {"options": ["one"]},
        {"options": ["a", "a"]},
        {"options": [1, "1"]},
        {"options": "ab"},
        {"options": [["a"], ["b"]]},
        {"options": ["a", ""]},
        {"options": ["a", "b"], "destructive": "a"},
        {"options": ["restart", "wait"], "timeout": 5, "on_timeout": "leave"},
        {"options": ["Yes, restart", "wait"], "timeout": 5, "on_timeout": "Yes, restart"},
        {"options": {"Proceed": 1, "wait": 2}, "timeout": 5, "on_timeout": 1},
        {"options": [True, False], "timeout": 5, "on_timeout": True},
        {"timeout": 5, "on_timeout": "ok"},
    ],
)
def test_a_choice_that_cannot_be_asked(arguments: dict[str, Any]) -> None:
    with pytest.raises(AuthorError, match="HF158"):
        asked("ask", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"schema": "string"},
        {"schema": {"type": "string"}},
        {"schema": {"type": "object", "properties": {"a": {"type": "no such"}}}},
        {"schema": FORM, "timeout": 5, "on_timeout": {"force": True}},
        {"schema": FORM, "timeout": 5, "on_timeout": {"reason": "approved by default"}},
        {"schema": FORM, "timeout": 5, "on_timeout": {"reason": 3}},
        {"schema": FORM, "timeout": 5, "on_timeout": "nothing"},
        {
            "schema": {"type": "object", "properties": {"pw": {"type": "string", "format": "password"}}},
            "timeout": 5,
            "on_timeout": {"pw": "x"},
        },
        {"schema": {"type": "object", "properties": {"go": {"type": "boolean", "default": True}}}, "timeout": 5, "on_timeout": {}},
    ],
)
def test_a_form_that_cannot_be_asked(arguments: dict[str, Any]) -> None:
    with pytest.raises(AuthorError, match="HF158"):
        asked("form", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"at_least": 0},
        {"at_least": True},
        {"at_least": 1.5},
        {"who": ["ann"], "at_least": 2},
        {"who": ["ann", "ann"], "at_least": 2},
        {"who": ["oncall"], "at_least": 3, "groups": GROUPS},
        {"who": ["oncall"], "at_least": 2, "groups": GROUPS, "not_self": True, "started_by": "ann"},
        {"who": ["ann"], "not_self": True, "started_by": "ann"},
    ],
)
def test_an_approval_that_can_never_come_about(arguments: dict[str, Any]) -> None:
    with pytest.raises(AuthorError, match="HF158"):
        asked("approve", **arguments)


def test_an_approval_by_a_group_that_only_the_gateway_knows() -> None:
    assert asked("approve", who=["group:sre"], at_least=3).question.at_least == 3
    assert asked("approve", who="oncall", at_least=2, groups=GROUPS).question.who == ("oncall",)


def test_a_stand_in_that_lets_nothing_happen() -> None:
    assert asked("confirm", timeout=5, on_timeout="no").question.timed_out == {"verdict": "no", "value": None}
    assert asked("confirm", timeout=5, on_timeout=False).question.timed_out == {"verdict": "no", "value": None}
    assert asked("confirm", timeout=5).question.timed_out is None
    assert asked("ask", options=["restart", "wait"], timeout=5, on_timeout="wait").question.timed_out == {"verdict": "wait", "value": None}
    made = asked("form", schema=FORM, timeout=5, on_timeout={"reason": "nobody was there"})
    assert made.question.timed_out == {"verdict": "answer", "value": {"reason": "nobody was there", "force": False}}


@pytest.mark.parametrize("value", [True, "yes", " Approve all", "OK.", {"a": {"b": True}}, ["no", "yes"], "go-ahead"])
def test_consent_is_seen_in_many_words(value: Any) -> None:
    assert consents(value)


@pytest.mark.parametrize("value", [False, None, 0, 1, "no", "", "escalate", "not ok", "yesterday", {"a": False}, []])
def test_what_is_no_consent(value: Any) -> None:
    assert not consents(value)

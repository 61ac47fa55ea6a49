"""Answers to authors' questions: who may give them, what fits, how votes are counted, what is kept of secrets, what no answer means."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import PromptError, StoreError
from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.execution import Execution, Status
from holdfast.model.lease import Owner
from holdfast.model.prompt import Prompt, PromptKind, PromptState
from holdfast.prompts.allowed import may_answer, refusal, who_may
from holdfast.prompts.answering import answer
from holdfast.prompts.expiring import expire, expire_due
from holdfast.prompts.listing import get, list_prompts
from holdfast.prompts.opening import open_prompt
from holdfast.prompts.questions import question
from holdfast.prompts.sealing import masked, unseal
from holdfast.testing.clocks import StillClock

E = "20260101-000000-aaaaaa"
FORM = {
    "type": "object",
    "required": ["node", "reason"],
    "properties": {
        "node": {"type": "string", "enum": ["n1", "n2"]},
        "reason": {"type": "string", "minLength": 3},
        "grace": {"type": "integer", "minimum": 0, "default": 30},
        "mail": {"type": "string", "format": "email"},
    },
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path}/journal.db")
    made.create(Execution(id=E, runbook="r", status=Status.RUNNING, started_by="ann"))
    yield made
    made.close()


def ask(store: Store, kind: str, **more: Any) -> Prompt:
    made = question(PromptKind(kind), "Go on?", **more)
    lease = store.claim(E, Owner(host="h", boot="b", pid=1, started="1"), 60)
    assert lease is not None
    due = None if made.timeout is None else clock.now() + made.timeout
    return open_prompt(
        Writer(store, E, lease.fence, "tester"),
        step="s",
        subject=repr(more),
        kind=made.kind,
        text=made.text,
        verdicts=made.verdicts,
        due_at=due,
        question=made.question,
    )


def give(store: Store, prompt: Prompt, verdict: str | None, who: str = "bob", **more: Any) -> Prompt:
    return answer(store, prompt.id, verdict, who=who, via="test", **more)


def refused(code: str, store: Store, prompt: Prompt, verdict: str | None, who: str = "bob", **more: Any) -> PromptError:
    before = get(store, prompt.id)
    with pytest.raises(PromptError, match=code) as caught:
        give(store, prompt, verdict, who, **more)
    assert caught.value.cure
    assert get(store, prompt.id) == before, "a refused answer left something behind"
    return caught.value


def test_a_confirmation_in_any_spelling(store: Store) -> None:
    for n, (verdict, value) in enumerate([("yes", None), (" YES", None), (None, True), ("yes", True)]):
        done = give(store, ask(store, "confirm", command=f"{n}"), verdict, value=value)
        assert (done.state, done.answer, done.value) == (PromptState.ANSWERED, "yes", None)
    assert give(store, ask(store, "confirm"), None, value=False).answer == "no"


def test_an_option_by_its_name_or_value(store: Store) -> None:
    assert give(store, ask(store, "ask", options=[1, 2]), "2").answer == "2"
    assert give(store, ask(store, "ask", options=[1, 3]), None, value=3).answer == "3"
    prompt = ask(store, "ask", options=[1, 4])
    refused("HF402", store, prompt, "3")
    refused("HF402", store, prompt, None, value=5)
    refused("HF402", store, prompt, None)
    refused("HF402", store, prompt, None, value=True)


def test_a_line_of_text(store: Store) -> None:
    done = give(store, ask(store, "ask"), "because of the disk")
    assert (done.answer, done.value) == ("answer", "because of the disk")
    assert give(store, ask(store, "ask", command="2"), "decline").answer == "decline"
    refused("HF405", store, ask(store, "ask", command="3"), "")
    refused("HF405", store, ask(store, "ask", command="4"), None, value=3)


def test_a_form_is_checked_and_completed(store: Store) -> None:
    prompt = ask(store, "form", schema=FORM)
    for value, what in [
        ({"node": "n1"}, "reason: is needed"),
        ({"node": "n3", "reason": "full"}, "node"),
        ({"node": "n1", "reason": "no"}, "reason"),
        ({"node": "n1", "reason": "full", "grace": "soon"}, "grace"),
        ({"node": "n1", "reason": "full", "grace": -1}, "grace"),
        ({"node": "n1", "reason": "full", "mail": "nobody"}, "mail"),
        ([], "object"),
        ("n1", "object"),
    ]:
        assert what in str(refused("HF405", store, prompt, None, value=value)), value
    refused("HF405", store, prompt, "answer")
    refused("HF404", store, prompt, "decline", value={})
    done = give(store, prompt, None, value={"node": "n1", "reason": "full"})
    assert done.value == {"node": "n1", "reason": "full", "grace": 30}


def test_who_may_answer(store: Store, still: StillClock) -> None:
    prompt = ask(store, "confirm", who=["bob", "group:oncall"], escalate_to="eve", escalate_after="10 min")
    assert "bob, group:oncall" in str(refused("HF406", store, prompt, "yes", "carl"))
    refused("HF406", store, prompt, "yes", "carl", groups=["others"])
    refused("HF406", store, prompt, "yes", "")
    refused("HF406", store, prompt, "yes", "eve")
    assert may_answer(prompt, "carl", ["oncall"])
    assert not may_answer(prompt, "eve")
    still.at += 601
    assert may_answer(prompt, "eve")
    assert who_may(prompt) == ("bob", "group:oncall", "eve")
    assert give(store, prompt, "yes", "carl", groups=["oncall"]).answered_by == "carl"


def test_whoever_started_it_may_not_approve_it(store: Store) -> None:
    prompt = ask(store, "approve", not_self=True, started_by="ann")
    assert "ann started" in str(refused("HF406", store, prompt, "yes", "ann"))
    refused("HF406", store, prompt, "no", "ann")
    nobody = ask(store, "approve", not_self=True)
    assert "not known" in (refusal(nobody, "bob") or "")
    assert give(store, prompt, "yes", "bob").answer == "yes"


def test_so_many_of_them(store: Store) -> None:
    prompt = ask(store, "approve", who=["bob", "carl", "eve"], at_least=2, why=True)
    first = give(store, prompt, "yes", "bob", why="seen")
    assert (first.state, first.needed, [v.who for v in first.votes]) == (PromptState.OPEN, 1, ["bob"])
    assert [p.votes for p in list_prompts(store)] == [first.votes]
    refused("HF407", store, prompt, "yes", "bob", why="again")
    refused("HF407", store, prompt, "no", "bob", why="again")
    refused("HF408", store, prompt, "yes", "carl")
    refused("HF408", store, prompt, "yes", "carl", why="  ")
    done = give(store, prompt, "yes", "carl", why="looks right")
    assert (done.state, done.answer, done.needed) == (PromptState.ANSWERED, "yes", 0)
    assert [(v.who, v.why) for v in done.votes] == [("bob", "seen"), ("carl", "looks right")]
    refused("HF401", store, prompt, "yes", "eve", why="late")
    assert list_prompts(store) == []


def test_the_first_refusal_ends_it(store: Store) -> None:
    prompt = ask(store, "approve", at_least=3)
    give(store, prompt, "yes", "bob")
    done = give(store, prompt, "no", "carl", why="not today")
    assert (done.state, done.answer, done.answered_by, done.why) == (PromptState.ANSWERED, "no", "carl", "not today")
    refused("HF401", store, prompt, "yes", "eve")


def test_many_voters_at_once_are_counted_once_each(store: Store) -> None:
    prompt = ask(store, "approve", at_least=4)
    said: list[str] = []
    start = threading.Barrier(12)

    def vote(who: str) -> None:
        start.wait()
        try:
            give(store, prompt, "yes", who)
            said.append("ok")
        except PromptError as error:
            said.append(error.code)

    voters = [threading.Thread(target=vote, args=(f"p{n % 6}",)) for n in range(12)]
    for voter in voters:
        voter.start()
    for voter in voters:
        voter.join()
    done = get(store, prompt.id)
    assert done.state == PromptState.ANSWERED
    assert len(done.votes) == len({v.who for v in done.votes}) == 4
    assert said.count("ok") == 4
    assert set(said) <= {"ok", "HF407", "HF401"}


def test_a_destructive_one_wants_the_name(store: Store) -> None:
    prompt = ask(store, "confirm", target="prod-eu", destructive=True)
    refused("HF409", store, prompt, "yes")
    refused("HF409", store, prompt, "yes", typed="prod-us")
    refused("HF409", store, prompt, "yes", typed="Prod-EU")
    assert give(store, prompt, "yes", typed="prod-eu").answer == "yes"
    assert give(store, ask(store, "confirm", target="x", destructive=True), "no").answer == "no"


def test_a_question_that_nobody_answered(store: Store, still: StillClock) -> None:
    prompt = ask(store, "confirm", timeout="1 min")
    assert expire_due(store, noticed_by="x") == []
    assert expire(store, prompt, noticed_by="x") == prompt
    still.at += 60
    (ended,) = expire_due(store, noticed_by="sensor")
    assert (ended.id, ended.state, ended.answer) == (prompt.id, PromptState.EXPIRED, None)
    assert get(store, prompt.id).state == PromptState.EXPIRED
    assert expire_due(store, noticed_by="worker") == []
    assert "expired" in str(refused("HF401", store, prompt, "yes"))
    header = store.header(E)
    assert header is not None
    assert header.due_at == still.at


def test_who_answers_too_late_ends_it(store: Store, still: StillClock) -> None:
    prompt = ask(store, "confirm", timeout="1 min")
    still.at += 61
    with pytest.raises(PromptError, match=r"HF401.*expired"):
        give(store, prompt, "yes")
    assert get(store, prompt.id).state == PromptState.EXPIRED


def test_no_stale_timer_touches_an_answered_one(store: Store, still: StillClock) -> None:
    prompt = ask(store, "confirm", timeout="1 min")
    give(store, prompt, "yes")
    still.at += 61
    assert expire(store, prompt, noticed_by="a worker that looked before").answer == "yes"
    assert get(store, prompt.id).state == PromptState.ANSWERED
    assert expire_due(store, noticed_by="x") == []


SECRET = "hunter2-correct-horse"
LOGIN = {
    "type": "object",
    "properties": {
        "user": {"type": "string"},
        "password": {"type": "string", "format": "password", "minLength": 8},
        "keys": {"type": "array", "items": {"$ref": "#/$defs/key"}},
        "maybe": {"anyOf": [{"type": "string", "writeOnly": True}, {"type": "null"}]},
    },
    "$defs": {"key": {"type": "object", "properties": {"value": {"type": "string", "writeOnly": True}}}},
}


def test_secrets_are_never_written(store: Store, tmp_path: Path) -> None:
    prompt = ask(store, "form", schema=LOGIN)
    value = {"user": "root", "password": SECRET, "keys": [{"value": SECRET}], "maybe": SECRET}
    done = give(store, prompt, None, value=value)
    assert masked(done.value) == {"user": "root", "password": "***", "keys": [{"value": "***"}], "maybe": "***"}
    assert SECRET not in json.dumps(done.value)
    assert not any(SECRET.encode() in entry.body for entry in store.read(E))
    assert not any(SECRET.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert unseal(done.value, store.key, prompt.id, lambda text, sealed: text) == value
    with pytest.raises(StoreError, match="HF511"):
        unseal(done.value, store.key, "another.prompt", lambda text, sealed: text)
    with pytest.raises(StoreError, match="HF511"):
        unseal(done.value, b"k" * 32, prompt.id, lambda text, sealed: text)


def test_errors_do_not_tell_secrets(store: Store) -> None:
    prompt = ask(store, "form", schema={**LOGIN, "required": ["user"], "maxProperties": 2})
    for value in ({"password": "s3cr3t!"}, {"user": "u", "password": SECRET, "keys": 3}, {"user": 5, "password": SECRET, "keys": []}):
        with pytest.raises(PromptError, match="HF405") as caught:
            give(store, prompt, None, value=value)
        assert str(value["password"]) not in str(caught.value)

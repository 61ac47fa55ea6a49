"""Slack, against a stand-in of its Web API: what arrives there, and what comes of each click."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast.model.prompt import Prompt, PromptKind, Question
from holdfast.testing.carrying import install, prompt_now, refusals, slack_table, text_of
from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.slack import Slack

SIZES = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "title": "Size"},
        "zone": {"enum": ["a", "b"], "title": "Zone", "default": "b"},
        "fast": {"type": "boolean", "title": "Fast"},
    },
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def slack() -> Iterator[Slack]:
    with Slack() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, slack: Slack) -> Iterator[Gateway]:
    sandbox = Sandbox(tmp_path_factory.mktemp("slack"))
    table = slack_table(slack.url, 'channel = "CALL"\n[slack.groups]\nwatch = "CWATCH"')
    install(sandbox, f'default = ["slack"]\n{table}', workers="queue")
    with Gateway(sandbox) as running:
        yield running


def question(gateway: Gateway, text: str = "Restart web?", **more: Any) -> Prompt:
    fields = {name: more.pop(name) for name in ("kind", "verdicts", "due_in", "started_by") if name in more}
    asked = Question(via=("slack",), started_by=fields.get("started_by", ""), **more)
    return ask(gateway.sandbox, text, id=f"x{next(_numbers)}", question=asked, **fields)


def arrived(gateway: Gateway, slack: Slack, prompt: Prompt, n: int = 1) -> list[dict[str, Any]]:
    """The messages of a prompt once there are ``n``."""
    gateway.sandbox.until(lambda: len(slack.messages(prompt.id)) >= n, f"{n} messages")
    return slack.messages(prompt.id)


def says(gateway: Gateway, slack: Slack, prompt: Prompt, what: str) -> list[dict[str, Any]]:
    """The messages of a prompt once all of them that put the question say ``what``."""

    def all_say() -> bool:
        return all(what in text_of(m) for m in slack.messages(prompt.id) if not m["thread_ts"])

    gateway.sandbox.until(all_say, f"messages that say {what!r}")
    return slack.messages(prompt.id)


def callback(gateway: Gateway) -> str:
    return f"{gateway.address}/api/v1/channels/slack"


def test_a_click_answers_and_every_message_says_by_whom(gateway: Gateway, slack: Slack) -> None:
    prompt = question(gateway, who=("group:oncall",), target="web-1, web-2 <!channel>", count=2, command="systemctl restart web")
    alice, bob = sorted(arrived(gateway, slack, prompt, 2), key=lambda m: m["channel"])
    assert (alice["channel"], bob["channel"]) == ("DALICE", "DBOB")
    for said in ("restart-web asks", "Restart web?", "web-1, web-2 &lt;!channel&gt; (2)", "`systemctl restart web`", "group:oncall"):
        assert said in text_of(alice)
    assert slack.click(callback(gateway), alice, "Yes", "UALICE") == (200, "")
    now = prompt_now(gateway.sandbox, prompt.id)
    assert (now.answer, now.answered_by, now.via) == ("yes", "alice", "slack")
    for message in says(gateway, slack, prompt, "Closed: yes, answered by alice via slack"):
        assert "actions" not in [b["type"] for b in message["blocks"]]
        assert message["edits"] == 1
    assert slack.click(callback(gateway), bob, "No", "UBOB")[0] == 200, "the second click is late"
    gateway.sandbox.until(lambda: "answered by alice" in str(slack.state()["whispers"]), "the late one to be told")
    assert prompt_now(gateway.sandbox, prompt.id).answer == "yes"
    assert ("bob", "HF401") in refusals(gateway, prompt.id)


def test_a_reason_and_a_typed_name_are_asked_for_in_a_modal(gateway: Gateway, slack: Slack) -> None:
    prompt = question(gateway, why=True, typed="prod-eu", who=("alice",))
    (message,) = arrived(gateway, slack, prompt)
    assert slack.click(callback(gateway), message, "Yes", "UALICE") == (200, "")
    view = slack.state()["views"][-1]
    status, said = slack.submit(callback(gateway), view, "UALICE", {"To consent, type prod-eu": "prod-us", "Reason": "ticket 42"})
    assert (status, said["response_action"], list(said["errors"])) == (200, "errors", ["typed"])
    status, said = slack.submit(callback(gateway), view, "UALICE", {"To consent, type prod-eu": "prod-eu", "Reason": " "})
    assert (said["response_action"], list(said["errors"])) == ("errors", ["why"])
    assert prompt_now(gateway.sandbox, prompt.id).state == "open"
    status, said = slack.submit(callback(gateway), view, "UALICE", {"To consent, type prod-eu": "prod-eu", "Reason": "ticket 42"})
    assert (status, said) == (200, {"response_action": "clear"})
    assert prompt_now(gateway.sandbox, prompt.id).why == "ticket 42"
    status, said = slack.submit(callback(gateway), view, "UALICE", {"To consent, type prod-eu": "prod-eu", "Reason": "again"})
    assert said["response_action"] == "update"
    assert "answered by alice" in str(said["view"])


def test_a_form(gateway: Gateway, slack: Slack) -> None:
    prompt = question(gateway, "How big?", kind=PromptKind.FORM, verdicts=("answer", "decline"), schema=SIZES)
    (message,) = arrived(gateway, slack, prompt)
    assert message["channel"] == "CALL", "nobody is named"
    slack.click(callback(gateway), message, "Answer …", "UBOB")
    view = slack.state()["views"][-1]
    for size, wrong in (("0", "at least 1"), ("big", "of type integer"), (None, "needed")):
        _, said = slack.submit(callback(gateway), view, "UBOB", {"Size": size})
        assert wrong in said["errors"]["value.size"]
    _, said = slack.submit(callback(gateway), view, "UBOB", {"Size": "3", "Fast": True, "Reason": "load"})
    assert said == {"response_action": "clear"}
    now = prompt_now(gateway.sandbox, prompt.id)
    assert (now.value, now.answered_by, now.why) == ({"size": 3, "zone": "b", "fast": True}, "bob", "load")


def test_options_as_buttons_or_as_a_menu_and_a_line_of_text(gateway: Gateway, slack: Slack) -> None:
    few = question(gateway, "Which?", kind=PromptKind.ASK, verdicts=("left", "right"), options=("left", "right"))
    many = tuple(f"node {n}" for n in range(12))
    menu = question(gateway, "Which node?", kind=PromptKind.ASK, verdicts=many, options=many)
    text = {"type": "string", "minLength": 1}
    line = question(gateway, "What happened?", kind=PromptKind.ASK, verdicts=("answer", "decline"), schema=text, why=True)
    slack.click(callback(gateway), arrived(gateway, slack, few)[0], "right", "UALICE")
    slack.click(callback(gateway), arrived(gateway, slack, menu)[0], "node 11", "UALICE")
    slack.click(callback(gateway), arrived(gateway, slack, line)[0], "Answer …", "UALICE")
    view = slack.state()["views"][-1]
    assert slack.submit(callback(gateway), view, "UALICE", {"Answer": "the disk was full", "Reason": "df"})[1]["response_action"] == "clear"
    assert [prompt_now(gateway.sandbox, p.id).answer for p in (few, menu)] == ["right", "node 11"]
    assert prompt_now(gateway.sandbox, line.id).value == "the disk was full"


def test_who_is_not_asked_is_not_heard(gateway: Gateway, slack: Slack) -> None:
    prompt = question(gateway, who=("alice",), why=True)
    (message,) = arrived(gateway, slack, prompt)
    views = len(slack.state()["views"])
    for user, why in (("UCAROL", "carol is not among those who may answer"), ("UEVE", "UEVE is nobody whom the policy file knows")):
        assert slack.click(callback(gateway), message, "Yes", user) == (200, "")
        gateway.sandbox.until(lambda why=why: why in str(slack.state()["whispers"]), why)
    assert len(slack.state()["views"]) == views, "no form is opened for them"
    assert prompt_now(gateway.sandbox, prompt.id).state == "open"
    assert refusals(gateway, prompt.id) == [("carol", "HF406"), ("", "HF705")]


def test_forged_stale_and_malformed_callbacks_are_refused(gateway: Gateway, slack: Slack) -> None:
    prompt = question(gateway)
    (message,) = arrived(gateway, slack, prompt)
    before = len(refusals(gateway))
    for how, code in (({"secret": "guessed"}, "HF720"), ({"age": 400}, "HF721"), ({"age": -400}, "HF721")):
        status, said = slack.click(callback(gateway), message, "Yes", "UALICE", **how)
        assert (status, said["code"]) == (401, code)
    for payload in ({}, {"type": "block_actions", "user": {"id": "UALICE"}, "actions": []}, {"type": "shortcut", "user": {"id": "U"}}):
        status, said = slack.send(callback(gateway), payload)
        assert (status, said["code"]) == (400, "HF722")
    action = {"type": "button", "action_id": "holdfast_say_0", "value": '["x.12345678", "yes"]', "block_id": "b"}
    assert slack.send(callback(gateway), slack.clicked(message, action, "UALICE"))[0] == 200
    gateway.sandbox.until(lambda: "no such prompt" in str(slack.state()["whispers"]), "to be told so")
    action["value"] = f'["{prompt.id}", "perhaps"]'
    assert slack.send(callback(gateway), slack.clicked(message, action, "UALICE"))[0] == 200
    gateway.sandbox.until(lambda: "is no answer to this prompt" in str(slack.state()["whispers"]), "to be told so")
    assert prompt_now(gateway.sandbox, prompt.id).state == "open"
    assert [code for _, code in refusals(gateway)][before:] == ["HF720", "HF721", "HF721", "HF722", "HF722", "HF722", "HF402"]


def test_the_end_elsewhere_shows_in_the_message(gateway: Gateway, slack: Slack) -> None:
    late = question(gateway, due_in=2.0)
    elsewhere, cancelled = question(gateway), question(gateway)
    for prompt in (late, elsewhere, cancelled):
        arrived(gateway, slack, prompt)
    with gateway.client(gateway.sandbox.holdfast("token", "make", "bob", "--json").json["token"]) as bob:
        assert bob.post(f"/api/v1/prompts/{elsewhere.id}/answer", json={"verdict": "no", "why": "not now"}).status_code == 200
        assert bob.post(f"/api/v1/executions/{cancelled.execution}/cancel", json={}).status_code < 300
    says(gateway, slack, elsewhere, "Closed: no, answered by bob via api: not now")
    says(gateway, slack, cancelled, "Closed: withdrawn")
    (message,) = says(gateway, slack, late, "Closed: nobody answered in time")
    old = {**message, "blocks": [{"type": "actions", "block_id": "b", "elements": [_button(late, "yes")]}]}
    slack.click(callback(gateway), old, "Yes", "UALICE")
    gateway.sandbox.until(lambda: "the prompt has expired" in str(slack.state()["whispers"]).lower(), "the late one to be told")


def _button(prompt: Prompt, verdict: str) -> dict[str, Any]:
    return {
        "type": "button", "action_id": "holdfast_say_0", "value": f'["{prompt.id}", "{verdict}"]', "text": {"text": verdict.capitalize()},
    }  # fmt: skip


def test_votes_show_and_whoever_started_it_is_not_asked(gateway: Gateway, slack: Slack) -> None:
    prompt = question(
        gateway, kind=PromptKind.APPROVE, who=("group:oncall", "carol"), at_least=2, not_self=True, started_by="carol"
    )  # fmt: skip
    messages = arrived(gateway, slack, prompt, 2)
    assert sorted(m["channel"] for m in messages) == ["DALICE", "DBOB"]
    slack.click(callback(gateway), messages[0], "Yes", "UALICE")
    messages = says(gateway, slack, prompt, "alice: yes")
    slack.click(callback(gateway), messages[0], "Yes", "UALICE")
    gateway.sandbox.until(lambda: "alice has voted already" in str(slack.state()["whispers"]), "the second vote")
    slack.click(callback(gateway), messages[1], "Yes", "UBOB")
    says(gateway, slack, prompt, "Closed: yes, answered by alice, bob")


def test_two_at_once_and_one_wins(gateway: Gateway, slack: Slack) -> None:
    prompt = question(gateway, who=("group:oncall",))
    alice, bob = sorted(arrived(gateway, slack, prompt, 2), key=lambda m: m["channel"])
    before = len(slack.state()["whispers"])
    with ThreadPoolExecutor(2) as pool:
        clicks = [(alice, "Yes", "UALICE"), (bob, "No", "UBOB")]
        assert [f[0] for f in pool.map(lambda c: slack.click(callback(gateway), *c), clicks)] == [200, 200]
    winner = prompt_now(gateway.sandbox, prompt.id).answered_by
    gateway.sandbox.until(lambda: len(slack.state()["whispers"]) > before, "the other one to be told")
    assert f"answered by {winner}" in slack.state()["whispers"][-1]["text"]


def test_reminders_and_escalation(gateway: Gateway, slack: Slack) -> None:
    prompt = question(gateway, who=("alice",), remind_every=1.5, escalate_to=("group:leads", "group:watch"), escalate_after=1.0)
    arrived(gateway, slack, prompt)

    def all_there() -> bool:
        found = slack.messages(prompt.id)
        reminded = {m["channel"] for m in found if m["thread_ts"]}
        return {m["channel"] for m in found if not m["thread_ts"]} == {"DALICE", "DCAROL", "CWATCH"} and {"DALICE", "DCAROL"} <= reminded

    gateway.sandbox.until(all_there, "a reminder to both")
    question_, *others = slack.messages(prompt.id)
    assert "nobody has answered yet" in text_of(next(m for m in others if m["channel"] == "DCAROL" and not m["thread_ts"]))
    reminder = next(m for m in others if m["thread_ts"] and m["channel"] == "DALICE")
    assert reminder["thread_ts"] == question_["ts"]
    assert "Reminder" in text_of(reminder)
    carol = next(m for m in others if m["channel"] == "DCAROL" and not m["thread_ts"])
    slack.click(callback(gateway), carol, "Yes", "UCAROL")
    says(gateway, slack, prompt, "Closed: yes, answered by carol via slack")
    notes = [e.data for e in gateway.sandbox.entries(prompt.execution) if e.kind == "note"]
    assert not [n for n in notes if "watch" in n.get("why", "")], "a group with a channel of its own needs no people"


def test_what_slack_does_not_take_now_is_sent_once_later(gateway: Gateway, slack: Slack) -> None:
    slack.fail("chat.postMessage", "ratelimited", after=1)
    slack.fail("chat.postMessage", "internal_error", status=500)
    slack.fail("chat.postMessage", "lost")
    prompt = question(gateway)
    arrived(gateway, slack, prompt)
    assert "conversations.history" in slack.state()["calls"]
    later = question(gateway)
    arrived(gateway, slack, later)
    assert len(slack.messages(prompt.id)) == 1, "it was looked for before it was sent again"


def test_who_cannot_be_reached_is_said_in_the_execution(gateway: Gateway) -> None:
    prompt = ask(gateway.sandbox, id=f"x{next(_numbers)}", question=Question(via=("slack", "pigeon"), who=("frank", "dave")))

    def told() -> list[str]:
        return [e.data["why"] for e in gateway.sandbox.entries(prompt.execution) if e.kind == "note"]

    gateway.sandbox.until(lambda: len(told()) == 2, "two notes")
    assert sorted(told()) == ["the policy file does not say slack of frank", "there is no such channel"]


def test_a_channel_that_is_not_there(gateway: Gateway) -> None:
    with gateway.client("") as nobody:
        answered = nobody.post("/api/v1/channels/pigeon", content=b"{}")
    assert (answered.status_code, answered.json()["code"]) == (404, "HF611")

"""A webhook: what a program receives, and what comes of each answer it posts back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.events.signatures import check_versioned, versioned
from holdfast.foundation import clock
from holdfast.model.prompt import Prompt, PromptKind, Question
from holdfast.testing.carrying import HOOK_SECRET, install, prompt_now, refusals
from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.counting import CountingServer
from holdfast.testing.servers.slack import post

_numbers = itertools.count()
NAME = "webhook:teams"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingServer]:
    with CountingServer(tmp_path_factory.mktemp("far")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, far: CountingServer) -> Iterator[Gateway]:
    sandbox = Sandbox(tmp_path_factory.mktemp("webhook"))
    hooks = "\n".join(f'[webhook.{name}]\nurl = "{far.url}/{path}"\nsecret = "env:HOOK_SECRET"' for name, path in HOOKS.items())
    install(sandbox, hooks, workers="queue")
    with Gateway(sandbox) as running:
        yield running


HOOKS = {"teams": "teams", "busy": "busy?status=503&n=1&after=1", "cut": "cut?reset=1&n=1", "never": "never?status=410"}


def question(gateway: Gateway, text: str = "Restart web?", via: str = NAME, **more: Any) -> Prompt:
    fields = {name: more.pop(name) for name in ("kind", "verdicts", "due_in") if name in more}
    return ask(gateway.sandbox, text, id=f"x{next(_numbers)}", question=Question(via=(via,), **more), **fields)


def arrived(gateway: Gateway, far: CountingServer, prompt: Prompt, what: str = "question", path: str = "/teams") -> dict[str, Any]:
    """The newest message of that kind about a prompt, once it is there."""

    def found() -> list[dict[str, Any]]:
        bodies = [json.loads(r["body"]) for r in far.requests("POST", path)]
        return [b for b in bodies if b["prompt"]["id"] == prompt.id and b["what"] == what]

    gateway.sandbox.until(found, what)
    return found()[-1]


def reply(told: dict[str, Any], *, secret: str = HOOK_SECRET, age: float = 0.0, url: str | None = None, **answer: Any) -> tuple[int, Any]:
    body = json.dumps({"token": told["answer"]["token"], **answer}).encode()
    at = str(int(clock.now() - age))
    headers = {"X-Holdfast-Timestamp": at, "X-Holdfast-Signature": versioned(secret.encode(), at, body)}
    return post(url or told["answer"]["url"], (body, headers))


def test_what_arrives_is_signed_and_an_answer_counts(gateway: Gateway, far: CountingServer) -> None:
    prompt = question(gateway, who=("alice",), target="web-1", count=1, command="restart")
    told = arrived(gateway, far, prompt)
    request = next(r for r in far.requests("POST", "/teams") if told["id"] in r["body"])
    headers = {k.lower(): v for k, v in request["headers"].items()}
    stamp, signature = headers["x-holdfast-timestamp"], headers["x-holdfast-signature"]
    check_versioned(HOOK_SECRET.encode(), stamp, signature, request["body"].encode(), clock.now(), 300)
    assert headers["x-holdfast-delivery"] == told["id"]
    assert (told["text"], told["to"], told["answer"]["verdicts"]) == ("Restart web?", ["alice"], ["yes", "no"])
    assert {"name": "target", "value": "web-1 (1)"} in told["facts"]
    status, said = reply(told, who="alice@example.org", verdict="yes")
    assert (status, said["state"], said["answered_by"]) == (200, "answered", "alice")
    assert prompt_now(gateway.sandbox, prompt.id).via == NAME
    status, said = reply(told, who="alice", verdict="no")
    assert (status, said["code"]) == (409, "HF401")
    assert "answered by alice" in said["detail"]
    update = arrived(gateway, far, prompt, "update")
    assert update["answer"] is None
    assert update["prompt"]["end"] == f"yes, answered by alice via {NAME}"


def test_what_is_not_proved_stale_malformed_or_not_theirs_is_refused(gateway: Gateway, far: CountingServer) -> None:
    schema = {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}
    prompt = question(gateway, "How big?", kind=PromptKind.FORM, verdicts=("answer", "decline"), schema=schema, who=("alice",))
    told = arrived(gateway, far, prompt)
    elsewhere = told["answer"]["url"].replace("teams", "busy")
    other = arrived(gateway, far, question(gateway, "Other?"))
    tries: list[tuple[tuple[int, Any], int, str]] = [
        (reply(told, secret="guessed", who="alice", value={"size": 1}), 401, "HF720"),
        (reply(told, age=400, who="alice", value={"size": 1}), 401, "HF721"),
        (reply(told, token="AAAA", who="alice", value={"size": 1}), 401, "HF720"),
        (reply(told, url=elsewhere, who="alice", value={"size": 1}), 401, "HF720"),
        (post(told["answer"]["url"], (b"{}", {})), 401, "HF720"),
        (reply(told, whom="alice"), 400, "HF722"),
        (reply(told, who="alice", verdict=["yes"]), 400, "HF722"),
        (reply(told, value={"size": 1}), 403, "HF705"),
        (reply(told, who="eve@example.org", value={"size": 1}), 403, "HF705"),
        (reply(told, who="bob", value={"size": 1}), 403, "HF406"),
        (reply(told, who="alice", value={"size": "big"}), 422, "HF405"),
        (reply(told, who="alice", value={"size": "\0"}), 400, "HF722"),
        (reply(other, who="alice", verdict="maybe"), 422, "HF402"),
    ]
    for (status, said), expected, code in tries:
        assert (status, said["code"]) == (expected, code), said
    assert prompt_now(gateway.sandbox, prompt.id).state == "open"
    assert [c for _, c in refusals(gateway)][-len(tries) :] == [code for _, _, code in tries]
    assert reply(told, who="alice", value={"size": 1})[0] == 200


def test_a_far_side_that_is_busy_or_breaks_off_hears_it_under_the_same_id(gateway: Gateway, far: CountingServer) -> None:
    for name in ("busy", "cut"):
        prompt = question(gateway, via=f"webhook:{name}")

        def twice(name: str = name) -> bool:
            return len(far.requests("POST", f"/{name}")) == 2

        gateway.sandbox.until(twice, "a second try")
        first, second = (json.loads(r["body"]) for r in far.requests("POST", f"/{name}"))
        assert first["id"] == second["id"]
        assert first["prompt"]["id"] == prompt.id
    prompt = question(gateway, via="webhook:never")

    def told() -> list[str]:
        return [e.data["why"] for e in gateway.sandbox.entries(prompt.execution) if e.kind == "note"]

    gateway.sandbox.until(told, "a note")
    assert told() == ["HTTP 410"]


def test_expiry_and_reminders(gateway: Gateway, far: CountingServer) -> None:
    prompt = question(gateway, due_in=4.0, remind_every=1.0)
    assert arrived(gateway, far, prompt, "reminder")["answer"]["token"]
    assert arrived(gateway, far, prompt, "update")["prompt"]["state"] == "expired"


def test_a_name_that_is_no_channel_is_noticed_when_it_is_asked_for(gateway: Gateway) -> None:
    book = gateway.sandbox.notebook("typo", [("step:ask", "from holdfast import confirm\nconfirm('Go on?', via='webhook:team')")])
    run = gateway.sandbox.holdfast("run", book, "--id", "typo", "--json")
    assert run.status == 1
    (entry,) = [e for e in gateway.sandbox.entries("typo") if e.kind == "step.failed"]
    assert (entry.data["error"]["code"], "webhook:teams" in str(entry.data["error"])) == ("HF158", True)
    assert not [e for e in gateway.sandbox.entries("typo") if e.kind == "prompt.opened"], "nobody was asked"

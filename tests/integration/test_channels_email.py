"""E-mail, against a real mail server: what arrives there, and what comes of its links."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

from holdfast.foundation import clock
from holdfast.model.prompt import Prompt, PromptKind, Question
from holdfast.testing.carrying import install, prompt_now, refusals
from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.mail import MailServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    with MailServer(tmp_path_factory.mktemp("mails")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, mail: MailServer) -> Iterator[Gateway]:
    sandbox = Sandbox(tmp_path_factory.mktemp("email"))
    table = f'[email]\nserver = "{mail.address}"\nsecurity = "none"\nfrom = "Holdfast <holdfast@example.org>"\nto = "all@example.org"\n'
    install(sandbox, table, workers="queue")
    with Gateway(sandbox) as running:
        yield running


def question(gateway: Gateway, text: str = "Restart web?", **more: Any) -> Prompt:
    fields = {name: more.pop(name) for name in ("kind", "verdicts", "due_in", "started_by") if name in more}
    return ask(gateway.sandbox, text, id=f"x{next(_numbers)}", question=Question(via=("email",), **more), **fields)


def arrived(gateway: Gateway, mail: MailServer, prompt: Prompt, n: int = 1) -> list[EmailMessage]:
    gateway.sandbox.until(lambda: len(mail.mails(prompt.id)) >= n, f"{n} mails")
    return mail.mails(prompt.id)


def text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def link(mail: EmailMessage) -> str:
    (found,) = re.findall(r"https?://\S+/by/\S+", text(mail))
    return str(found)


def page(url: str) -> httpx.Response:
    return httpx.get(url, headers={"Accept": "text/html"}, timeout=60)


def send(url: str, **form: str) -> httpx.Response:
    return httpx.post(url, data=form, headers={"Accept": "text/html"}, timeout=60)


def test_a_link_shows_and_its_form_answers(gateway: Gateway, mail: MailServer) -> None:
    prompt = question(
        gateway, "Restart web?\r\nBcc: eve@example.org", who=("alice", "bob"), target="<b>web-1</b>", command="restart", why=True
    )
    alice, bob = sorted(arrived(gateway, mail, prompt, 2), key=lambda m: m["To"])
    assert (alice["Delivered-To"], bob["Delivered-To"]) == ("alice@example.org", "bob@example.org")
    assert alice["Subject"] == "[restart-web] Restart web? Bcc: eve@example.org"
    body = alice.get_body(("html",))
    assert body is not None
    assert "&lt;b&gt;web-1&lt;/b&gt;" in body.get_content()
    assert f"holdfast answer {prompt.id} yes|no --why TEXT" in text(alice)
    for _ in range(3):  # a scanner follows every link
        shown = page(link(alice))
        assert shown.status_code == 200
        assert httpx.head(link(alice), timeout=60).status_code in (200, 405)
    assert "Your answer" in shown.text
    assert "/executions/" not in shown.text, "the link opens this question and nothing else"
    assert prompt_now(gateway.sandbox, prompt.id).state == "open"
    assert send(link(alice), verdict="yes").status_code == 422, "a reason is needed"
    answered = send(link(alice), verdict="yes", why="ticket 42")
    assert "Your answer is recorded" in answered.text
    now = prompt_now(gateway.sandbox, prompt.id)
    assert (now.answer, now.answered_by, now.via, now.why) == ("yes", "alice", "email", "ticket 42")
    again = send(link(alice), verdict="no", why="again")
    assert (again.status_code, "alice was first" in again.text) == (409, True), "a link counts once"
    late = send(link(bob), verdict="no", why="late")
    assert (late.status_code, "alice was first" in late.text) == (409, True)
    assert ("bob", "HF401") in refusals(gateway, prompt.id)
    told = arrived(gateway, mail, prompt, 3)[2]
    assert told["To"] == "bob@example.org"
    assert told["In-Reply-To"] == bob["Message-ID"]
    assert told["Subject"] == f"Re: {bob['Subject']}"
    assert "answered by alice via email: ticket 42" in text(told)


def test_a_form_behind_a_link(gateway: Gateway, mail: MailServer) -> None:
    schema = {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer", "minimum": 1}}}
    prompt = question(gateway, "How big?", kind=PromptKind.FORM, verdicts=("answer", "decline"), schema=schema, who=("alice",))
    (one,) = arrived(gateway, mail, prompt)
    wrong = send(link(one), verdict="answer", **{"value.size": "0"})
    assert (wrong.status_code, "must be at least 1" in wrong.text) == (422, True)
    assert send(link(one), verdict="answer", **{"value.size": "3"}).status_code == 200
    assert prompt_now(gateway.sandbox, prompt.id).value == {"size": 3}


def test_links_of_others_forged_expired_and_of_other_channels_are_refused(gateway: Gateway, mail: MailServer) -> None:
    prompt = question(gateway, who=("alice",), due_in=3.0)
    (one,) = arrived(gateway, mail, prompt)
    url = link(one)
    place, _, token = url.rpartition("/")
    letter = "A" if token[40] != "A" else "B"
    for bad in (f"{token[:40]}{letter}{token[41:]}", token[:-2], "A" * 80):
        for answered in (page(f"{place}/{bad}"), send(f"{place}/{bad}", verdict="yes")):
            assert (answered.status_code, "HF720" in answered.text) == (401, True)
    other = page(f"{gateway.address}/by/pigeon/{token}")
    assert (other.status_code, "HF611" in other.text) == (404, True)
    gateway.sandbox.until(lambda: clock.now() > prompt.opened_at + 3.5, "the end of its time")
    stale = send(url, verdict="yes")
    assert (stale.status_code, "HF721" in stale.text) == (401, True)
    gateway.sandbox.until(lambda: prompt_now(gateway.sandbox, prompt.id).state == "expired", "its end")
    told = arrived(gateway, mail, prompt, 2)[1]
    assert "nobody answered in time" in text(told)
    assert not re.findall(r"/by/", text(told)), "there is nothing left to answer"
    codes = [code for _, code in refusals(gateway)]
    assert codes.count("HF720") >= 6
    assert codes.count("HF721") == 1


def test_whoever_the_policy_forgot_is_refused(gateway: Gateway, mail: MailServer) -> None:
    prompt = question(gateway, who=("carol",))
    (one,) = arrived(gateway, mail, prompt)
    policy = gateway.sandbox.folder / "policy.toml"
    before = policy.read_text()
    try:
        policy.write_text(before.replace('leads = ["carol"]', "leads = []").replace("[people.carol]", "[people.carla]"))
        gone = send(link(one), verdict="yes")
        assert (gone.status_code, "HF705" in gone.text) == (403, True)
        policy.write_text(before.replace('answer = ["*"]', ""))
        assert send(link(one), verdict="yes").status_code == 403
    finally:
        policy.write_text(before)
    assert [c for _, c in refusals(gateway, prompt.id)] == ["HF705", "HF702"]
    assert send(link(one), verdict="yes").status_code == 200


def test_nobody_in_particular_is_led_to_the_inbox(gateway: Gateway, mail: MailServer) -> None:
    prompt = question(gateway)
    (one,) = arrived(gateway, mail, prompt)
    assert one["To"] == "all@example.org"
    assert "/by/" not in text(one)
    assert f"{gateway.address}/prompts/{prompt.id}" in text(one)


def test_reminders_are_replies_and_a_busy_server_is_asked_again(gateway: Gateway, mail: MailServer) -> None:
    policy = gateway.sandbox.folder / "policy.toml"
    if "busy@" not in policy.read_text():
        policy.write_text(policy.read_text() + '[people.berta]\nemail = "busy@example.org"\n[people.gina]\nemail = "gone@example.org"\n')
    prompt = question(gateway, who=("berta", "gina"), remind_every=1.5)
    first, reminder = arrived(gateway, mail, prompt, 2)[:2]
    assert first["To"] == "busy@example.org"
    assert reminder["In-Reply-To"] == first["Message-ID"]
    assert reminder["Message-ID"] != first["Message-ID"]
    assert send(link(reminder), verdict="no").status_code == 200
    notes = [e.data["why"] for e in gateway.sandbox.entries(prompt.execution) if e.kind == "note"]
    assert notes == ["the mail server refuses the recipient: 550 5.1.1 no such mailbox"]

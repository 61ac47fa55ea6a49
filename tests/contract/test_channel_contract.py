"""The channel contract on every channel that comes with Holdfast, each against a far side of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.channels import email, slack, webhook
from holdfast.channels.channel import Address, Callback, Given, Sending
from holdfast.channels.links import make
from holdfast.events.signatures import versioned
from holdfast.foundation import clock
from holdfast.testing.contracts.channel import KEY, ChannelContract, Example
from holdfast.testing.servers import slack as stand_in
from holdfast.testing.servers.counting import CountingServer
from holdfast.testing.servers.mail import MailServer

SECRET = "between us"


def given(name: str, table: dict[str, Any], folder: Path) -> Given:
    return Given(
        name=name, table=table, secret=lambda reference: {"env:BOT": stand_in.TOKEN}.get(reference, SECRET), folder=folder, key=KEY
    )


@pytest.fixture(scope="module")
def far_slack() -> Iterator[stand_in.Slack]:
    with stand_in.Slack() as running:
        yield running


@pytest.fixture(scope="module")
def far_mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    with MailServer(tmp_path_factory.mktemp("mails")) as running:
        yield running


@pytest.fixture(scope="module")
def far_hook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingServer]:
    with CountingServer(tmp_path_factory.mktemp("far")) as running:
        yield running


class TestSlack(ChannelContract):
    @pytest.fixture
    def example(self, far_slack: stand_in.Slack, tmp_path: Path) -> Example:
        table = {"token": "env:BOT", "signing_secret": "env:SIGNING", "api_url": f"{far_slack.url}/api"}

        def click(sending: Sending, at: float) -> Callback:
            button = {"type": "button", "action_id": "holdfast_say_0", "value": json.dumps([sending.prompt.id, "yes"]), "block_id": "b"}
            message = {"channel": "D1", "ts": "1.2"}
            body, headers = stand_in.signed(far_slack.clicked(message, button, "UALICE"), secret=SECRET, at=at)
            return Callback(body=body, headers={k.lower(): v for k, v in headers.items()})

        def forge(good: Callback) -> list[Callback]:
            altered = msgspec.structs.replace(good, body=good.body.replace(b"yes", b"no"))
            later = {**good.headers, "x-slack-request-timestamp": str(int(clock.now()) + 1)}
            return [altered, msgspec.structs.replace(good, headers=later), msgspec.structs.replace(good, headers={})]

        return Example(
            channel=slack.make(given("slack", table, tmp_path)),
            person=Address(place="UALICE", person="alice"),
            arrived=lambda prompt: [_plain(m["blocks"]) for m in far_slack.messages(prompt)],
            answer=click,
            forge=forge,
            stale=lambda sending: click(sending, clock.now() - 301),
        )

    def test_a_lost_answer_is_looked_for(self, example: Example, far_slack: stand_in.Slack) -> None:
        from holdfast.channels.channel import TryLater
        from holdfast.testing.contracts.channel import asked

        far_slack.fail("chat.postMessage", "lost")
        sending = asked("lost.11111111", example)
        with pytest.raises(TryLater):
            example.channel.deliver(sending)
        example.channel.deliver(msgspec.structs.replace(sending, again=True))
        assert len(far_slack.messages("lost.11111111")) == 1


def _plain(blocks: Any) -> str:
    return json.dumps(blocks, ensure_ascii=False).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class TestEmail(ChannelContract):
    @pytest.fixture
    def example(self, far_mail: MailServer, tmp_path: Path) -> Example:
        table = {"server": far_mail.address, "from": "holdfast@example.org", "security": "none"}

        def text(mail: Any) -> str:
            return str(mail.get_body(("plain",)).get_content())

        def forge(good: Callback) -> list[Callback]:
            token = good.query["token"]
            other = make(b"x" * 32, "six.11111111", "email", "alice", asked_at=clock.now(), due_at=None)
            elsewhere = make(KEY, "six.11111111", "webhook:a", "alice", asked_at=clock.now(), due_at=None)
            return [Callback(query={"token": t}) for t in (token[:-1], "", other, elsewhere, token + "é", token[5:])]

        def old(sending: Sending) -> Callback:
            past = clock.now() - 8 * 86400
            return Callback(query={"token": make(KEY, sending.prompt.id, "email", "alice", asked_at=past, due_at=None)})

        return Example(
            channel=email.make(given("email", table, tmp_path)),
            person=Address(place="alice@example.org", person="alice"),
            arrived=lambda prompt: [text(m) for m in far_mail.mails(prompt)],
            answer=lambda sending, at: Callback(query={"token": sending.token}),
            forge=forge,
            stale=old,
            edits=False,
        )


class TestWebhook(ChannelContract):
    @pytest.fixture
    def example(self, far_hook: CountingServer, tmp_path: Path) -> Example:
        def post(sending: Sending, at: float, **more: Any) -> Callback:
            body = json.dumps({"token": sending.token, "who": "alice", "verdict": "yes", **more}).encode()
            stamp = str(int(at))
            headers = {"x-holdfast-timestamp": stamp, "x-holdfast-signature": versioned(SECRET.encode(), stamp, body)}
            return Callback(body=body, headers=headers)

        def forge(good: Callback) -> list[Callback]:
            altered = msgspec.structs.replace(good, body=good.body.replace(b"yes", b"no"))
            other = {**good.headers, "x-holdfast-signature": versioned(b"guessed", good.headers["x-holdfast-timestamp"], good.body)}
            stolen = post(_none(), clock.now(), token="AAAA")
            return [altered, msgspec.structs.replace(good, headers=other), msgspec.structs.replace(good, headers={}), stolen]

        def _none() -> Sending:
            from holdfast.testing.contracts.channel import asked

            return asked("none.11111111", made)

        def texts(prompt: str) -> list[str]:
            found = [r["body"] for r in far_hook.requests("POST", "/hook")]
            return [json.dumps(json.loads(b), ensure_ascii=False) for b in found if json.loads(b)["prompt"]["id"] == prompt]

        made = Example(
            channel=webhook.make(given("webhook:a", {"url": f"{far_hook.url}/hook", "secret": "env:HOOK"}, tmp_path)),
            person=Address(place="", person=None),
            arrived=texts,
            answer=post,
            forge=forge,
            stale=lambda sending: post(sending, clock.now() - 301),
            edits=False,
        )
        return made

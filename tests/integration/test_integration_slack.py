"""The Slack integration on the stand-in of Slack's Web API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from slack_sdk import WebClient

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.servers.slack import TOKEN, Slack


class TestSlack(IntegrationContract):
    """Messages."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[Slack]:
        with Slack() as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: Slack) -> Subject:
        known = [0]
        api = WebClient(TOKEN, base_url=f"{server.url}/api/")  # a person at the far side

        def said(channel: str, **about: Any) -> Callable[[], int]:
            def count() -> int:
                return sum(m["channel"] == channel and about.items() <= m.items() for m in server.messages()[known[0] :])

            return count

        def reset() -> None:
            known[0] = len(server.messages())

        def before(channel: str) -> Callable[[], None]:
            def prepare() -> None:
                api.chat_postMessage(channel=channel, text="down")

            return prepare

        def changed() -> int:
            """An update that is made again after the kill says the same; once more would be too often."""
            (message,) = [m for m in server.messages()[known[0] :] if m["channel"] == "CUPDATE"]
            return int(message["text"] == "up") if message["edits"] <= 2 else int(message["edits"])

        there = "next(m for m in client.conversations_history(channel={0!r})['messages'] if m['text'] == 'down')['ts']"
        there = f"slack.Said(channel={{0!r}}, ts={there})"
        return Subject(
            setup=(
                "from holdfast import secret\nfrom holdfast.integrations import slack\nfrom slack_sdk.webhook import WebhookClient\n"
                f"client = slack.connect('env:SLACK_TOKEN', base_url='{server.url}/api/')\n"
                f"hook = WebhookClient('{server.url}/services/T1/B1/' + secret('env:SLACK_TOKEN'))"  # its address is a credential, too
            ),
            reset=reset,
            environment={"SLACK_TOKEN": TOKEN},
            modules=("slack_sdk", "holdfast.integrations.slack"),
            secret=TOKEN,
            limit=lambda n: server.fail("chat.postMessage", "ratelimited", n=n, after=0),
            reads=(Read(name="auth", cell="print(client.auth_test()['user'])", count=lambda: server.state()["calls"].count("auth.test")),),
            writes=(
                Write(
                    name="post",
                    cell="print(slack.post('C1', 'restarting web', client=client).channel)",
                    count=said("C1"),
                    effect="write",
                    target="slack://C1",
                ),
                Write(
                    name="reply",
                    cell=f"print(slack.post('CREPLY', 'on it', under={there.format('CREPLY')}, client=client).channel)",
                    prepare=before("CREPLY"),
                    count=said("CREPLY", text="on it"),
                    effect="write",
                    target="slack://CREPLY",
                ),
                Write(
                    name="update",
                    cell=f"print(slack.update({there.format('CUPDATE')}, 'up', client=client))",
                    prepare=before("CUPDATE"),
                    count=changed,
                    effect="idempotent",
                    target="slack://CUPDATE/*",
                ),
                Write(
                    name="react",
                    cell=f"print(slack.react({there.format('CREACT')}, ':eyes:', client=client))",
                    prepare=before("CREACT"),
                    count=said("CREACT", reactions=["eyes"]),
                    effect="idempotent",
                    target="slack://CREACT/*",
                ),
                Write(
                    name="webhook",
                    cell="print(hook.send(text='web is back').status_code)",
                    count=said("CHOOK", text="web is back"),
                    effect="write",
                    target="slack://webhook",
                    asks=True,
                ),
            ),
        )

    def test_an_answer_that_was_lost_is_found_again(self, server: Slack, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("print(slack.post('C1', 'lost', client=client).ts)")
        server.fail("chat.postMessage", "lost")
        done = runner.run()
        (message,) = [m for m in server.messages() if m["text"] == "lost"]
        assert (done.status, done.out) == (0, f"{message['ts']}\n"), done

    def test_two_messages_of_the_same_words_are_two(self, server: Slack, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "for _ in range(2):\n    said = slack.post('C1', 'twice', client=client)\nslack.update(said, 'thrice', client=client)"
        )
        assert runner.run("call.after_effect@2=kill").killed
        assert runner.run().status == 0
        assert sorted(m["text"] for m in server.messages() if m["text"] in ("twice", "thrice")) == ["thrice", "twice"]

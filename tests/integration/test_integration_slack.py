"""The Slack integration on the stand-in of Slack's Web API."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

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

        def messages() -> int:
            return len(server.messages()) - known[0]

        def reset() -> None:
            known[0] = len(server.messages())

        return Subject(
            setup=f"from holdfast.integrations import slack\nclient = slack.connect('env:SLACK_TOKEN', base_url='{server.url}/api/')",
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
                    count=messages,
                    effect="write",
                    target="slack://C1",
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

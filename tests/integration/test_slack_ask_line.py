"""``!slack ask`` and ``%hf ask`` from the line to its value: the question in Slack, a signed click, a cell that goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.carrying import install, slack_table, text_of
from holdfast.testing.gateways import Gateway
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.slack import Slack

CELL = """msg = 'bad login of eve'
choices = ['disable', 'reset password']
answer = {line} --message msg --options choices {to} --timeout 15m
print('chosen:', answer)
!printf '%s\\n' "{{answer}}" >> far.txt"""
LINES = {"slack": CELL.format(line="!slack ask", to="--name @alice"), "hf": CELL.format(line="%hf ask", to="--to alice --via slack")}


@pytest.fixture
def slack() -> Iterator[Slack]:
    with Slack() as running:
        yield running


def asked(folder: Path, slack: Slack, line: str) -> Sandbox:
    """A run that has come to its question, and suspends there."""
    sandbox = Sandbox(folder)
    install(sandbox, slack_table(slack.url), hold_for=0)
    book = sandbox.notebook("login", [("step:ask", LINES[line]), ("step:after", "print('after', answer)")])
    run = sandbox.holdfast("run", book, "--id", "x", "--json")
    assert run.json["status"] == "suspended", run
    return sandbox


def click(slack: Slack, gateway: Gateway, user: str = "UALICE", **how: Any) -> tuple[int, Any]:
    (message,) = slack.messages()
    return slack.click(f"{gateway.address}/api/v1/channels/slack", message, "reset password", user, **how)


def ended(sandbox: Sandbox, slack: Slack) -> bool:
    """The cell has gone on to its end, and Slack says so."""
    return sandbox.status("x") == "succeeded" and "Closed: reset password, answered by alice" in text_of(slack.messages()[0])


@pytest.mark.slow
def test_a_question_in_one_line_is_answered_by_a_click(tmp_path: Path, slack: Slack) -> None:
    """The run suspends at the line; the gateway carries the question out and the answer in, and its worker goes on with the cell."""
    sandbox = asked(tmp_path, slack, "slack")
    with Gateway(sandbox) as gateway:
        sandbox.until(slack.messages, "the question")
        (message,) = slack.messages()
        assert message["channel"] == "DALICE" and "bad login of eve" in text_of(message)
        assert click(slack, gateway, secret="guessed")[0] == 401
        assert click(slack, gateway, "UEVE") == (200, "")
        assert sandbox.status("x") == "suspended", "neither an unsigned click nor a stranger's answers"
        assert click(slack, gateway) == (200, "")
        sandbox.until(lambda: ended(sandbox, slack), "the end", 120)
    assert len(slack.messages()) == 1, "it was asked once"
    assert (tmp_path / "far.txt").read_text() == "reset password\n"
    cells = json.loads((tmp_path / ".holdfast" / "outputs" / "x.ipynb").read_text())["cells"]
    said = ["".join(text for output in cell["outputs"] for text in output.get("text", ())) for cell in cells]
    assert "chosen: reset password" in said[0] and said[1].strip() == "after reset password", said
    sandbox.assert_laws("x")


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
def test_whoever_carries_it_is_killed_after_each_message(tmp_path: Path, slack: Slack, line: str) -> None:
    """Behind the question that is the gateway. Behind its end it is the gateway or its worker, which goes on with the cell meanwhile: the
    first to look carries it."""
    sandbox = asked(tmp_path, slack, line)
    with Gateway(sandbox, faults="channel.after_send=kill") as gateway:
        sandbox.until(lambda: gateway.process.poll() is not None, "the kill behind the question")
    with Gateway(sandbox) as gateway:
        sandbox.until(lambda: '"sent"' in sandbox.holdfast("channels", "list", "--json").out, "the question to be found there")
        gateway.kill()
    with Gateway(sandbox, faults="channel.after_send=kill-once") as gateway:
        assert click(slack, gateway) == (200, "")
        sandbox.until(lambda: len(sandbox.struck()) == 2, "the kill behind the end")
    with Gateway(sandbox):
        sandbox.until(lambda: ended(sandbox, slack), "the end", 120)
    assert len(slack.messages()) == 1, "it was asked once"
    assert (tmp_path / "far.txt").read_text() == "reset password\n"
    sandbox.assert_laws("x")

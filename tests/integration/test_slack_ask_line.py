"""``!slack ask`` from its line to its value: the question in Slack, a signed click, and a cell that goes on with what was chosen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.testing.carrying import install, slack_table, text_of
from holdfast.testing.gateways import Gateway
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.slack import Slack

CELL = """msg = 'bad login of eve'
choices = ['disable', 'reset password']
answer = !slack ask --message msg --options choices --name @alice --timeout 15m
print('chosen:', answer)
!printf '%s\\n' "{answer}" >> far.txt"""


@pytest.mark.slow
def test_a_question_in_one_line_is_answered_by_a_click(tmp_path: Path) -> None:
    """The run suspends at the line; the gateway carries the question out and the answer in, and its worker goes on with the cell."""
    with Slack() as slack:
        sandbox = Sandbox(tmp_path)
        install(sandbox, slack_table(slack.url), hold_for=0)
        book = sandbox.notebook("login", [("step:ask", CELL), ("step:after", "print('after', answer)")])
        asked = sandbox.holdfast("run", book, "--id", "x", "--json")
        assert asked.json["status"] == "suspended", asked
        with Gateway(sandbox) as gateway:
            sandbox.until(slack.messages, "the question")
            (message,) = slack.messages()
            assert message["channel"] == "DALICE" and "bad login of eve" in text_of(message)
            callback = f"{gateway.address}/api/v1/channels/slack"
            assert slack.click(callback, message, "reset password", "UALICE", secret="guessed")[0] == 401
            assert slack.click(callback, message, "reset password", "UEVE") == (200, "")
            assert sandbox.status("x") == "suspended", "neither an unsigned click nor a stranger's answers"
            assert slack.click(callback, message, "reset password", "UALICE") == (200, "")
            sandbox.until(lambda: sandbox.status("x") == "succeeded", "the end", 120)
            sandbox.until(lambda: "Closed: reset password, answered by alice" in text_of(slack.messages()[0]), "the end in Slack")
        assert len(slack.messages()) == 1, "it was asked once"
    assert (tmp_path / "far.txt").read_text() == "reset password\n"
    cells = json.loads((tmp_path / ".holdfast" / "outputs" / "x.ipynb").read_text())["cells"]
    said = ["".join(text for output in cell["outputs"] for text in output.get("text", ())) for cell in cells]
    assert "chosen: reset password" in said[0] and said[1].strip() == "after reset password", said
    sandbox.assert_laws("x")

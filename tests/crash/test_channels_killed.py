"""SIGKILL around a message: of the gateway, of a worker, of everything between question and answer. Counted at the far side."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.model.prompt import Question
from holdfast.testing.carrying import install, prompt_now, slack_table, text_of
from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.counting import CountingServer
from holdfast.testing.servers.mail import MailServer
from holdfast.testing.servers.slack import Slack

FAULTS = ("channel.before_send", "channel.after_send", "channel.after_record")
RUNBOOK: list[Any] = [
    ("setup", "from holdfast import confirm"),
    (
        "step:ask",
        (
            "!printf 'before\\n' >> far.txt\n"
            "ok = confirm('Go on?', to='group:oncall', via=['slack', 'email', 'webhook:hook'], target='db-1')\n"
            "print(ok.who, ok.via)"
        ),
    ),
    ("step:two", "!printf 'after\\n' >> far.txt"),
]


@pytest.fixture(scope="module")
def slack() -> Iterator[Slack]:
    with Slack() as running:
        yield running


class Far:
    """All far sides of one sandbox."""

    def __init__(self, slack: Slack, mail: MailServer, hook: CountingServer) -> None:
        self.slack, self.mail, self.hook = slack, mail, hook

    def table(self) -> str:
        mail = f'[email]\nserver = "{self.mail.address}"\nsecurity = "none"\nfrom = "holdfast@example.org"\n'
        return f'{slack_table(self.slack.url)}{mail}[webhook.hook]\nurl = "{self.hook.url}/hook"\nsecret = "env:HOOK_SECRET"\n'

    def questions(self, prompt: str) -> dict[str, int]:
        """How many different questions of a prompt arrived, by channel."""
        hooks = [json.loads(r["body"]) for r in self.hook.requests("POST", "/hook")]
        mails = [m for m in self.mail.mails(prompt) if not m["In-Reply-To"]]
        return {
            "slack": len([m for m in self.slack.messages(prompt) if not m["thread_ts"]]),
            "email": len({m["Message-ID"] for m in mails}),
            "webhook": len({h["id"] for h in hooks if h["what"] == "question" and h["prompt"]["id"] == prompt}),
        }


@pytest.fixture
def far(tmp_path: Path, slack: Slack) -> Iterator[Far]:
    with MailServer(tmp_path) as mail, CountingServer(tmp_path) as hook:
        yield Far(slack, mail, hook)


def struck(sandbox: Sandbox, process: subprocess.Popen[str]) -> None:
    """Wait until the fault has ended the process."""
    sandbox.until(lambda: process.poll() is not None, "the kill")
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("fault", [f if f == "channel.after_send" else pytest.param(f, marks=pytest.mark.slow) for f in FAULTS])
def test_the_gateway_is_killed_around_a_message(tmp_path: Path, slack: Slack, fault: str) -> None:
    sandbox = Sandbox(tmp_path)
    install(sandbox, slack_table(slack.url), workers="queue")
    prompt = ask(sandbox, id=f"k{fault.partition('.')[2]}", question=Question(via=("slack",), who=("group:oncall",)))
    for _ in range(2):
        with Gateway(sandbox, faults=f"{fault}=kill") as gateway:
            struck(sandbox, gateway.process)
    with Gateway(sandbox) as gateway:
        sandbox.until(lambda: len(slack.messages(prompt.id)) >= 2, "both messages")
        slack.click(f"{gateway.address}/api/v1/channels/slack", slack.messages(prompt.id)[0], "Yes", "UALICE")
        sandbox.until(lambda: all("Closed" in text_of(m) for m in slack.messages(prompt.id)), "the end in both")
    assert sorted(m["channel"] for m in slack.messages(prompt.id)) == ["DALICE", "DBOB"], "each was asked once"


def test_a_worker_is_killed_and_another_takes_over_reminder_and_update(tmp_path: Path, slack: Slack) -> None:
    sandbox = Sandbox(tmp_path)
    install(sandbox, slack_table(slack.url))
    question = Question(via=("slack",), who=("alice",), remind_every=1.0)
    prompt = ask(sandbox, id="w1", question=question)
    process = sandbox.start("worker", faults="channel.after_send@2=kill", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    struck(sandbox, process)
    reminders = [m for m in slack.messages(prompt.id) if m["thread_ts"]]
    assert len(reminders) == 1, "killed after the reminder was sent and before it was written down"
    assert sandbox.holdfast("answer", prompt.id, "yes", "--json").status != 0, "the policy decides who may, here as elsewhere"
    sandbox.environment["HOLDFAST_USER"] = "alice"
    assert sandbox.holdfast("answer", prompt.id, "yes", "--json").status == 0
    process = sandbox.start("worker", faults="channel.after_send@2=kill", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    struck(sandbox, process)  # the reminder is settled, the update was sent and not written down
    assert sandbox.holdfast("worker", "--once").status == 0
    question_, *others = slack.messages(prompt.id)
    assert "Closed: yes, answered by alice via cli" in text_of(question_)
    assert len(others) == 1, "the reminder was found there, and not sent again"


@pytest.mark.slow
def test_two_carriers_send_once(tmp_path: Path, slack: Slack, journal: str | None) -> None:
    sandbox = Sandbox(tmp_path, journal)
    install(sandbox, slack_table(slack.url), workers="queue")
    prompts = [
        ask(sandbox, id=f"{'p' if journal else 's'}{n}", question=Question(via=("slack",), who=("group:oncall",))) for n in range(10)
    ]
    workers = [sandbox.start("worker", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        with Gateway(sandbox):
            sandbox.until(lambda: all(len(slack.messages(p.id)) == 2 for p in prompts), "all messages")
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)
    assert [len(slack.messages(p.id)) for p in prompts] == [2] * 10


@pytest.mark.parametrize(
    "channel", ["slack", pytest.param("email", marks=pytest.mark.slow), pytest.param("webhook:hook", marks=pytest.mark.slow)]
)
def test_everything_is_killed_between_question_and_answer(tmp_path: Path, far: Far, channel: str) -> None:
    """Run and gateway are killed after the question went out; the answer comes through ``channel`` and the execution goes on by itself."""
    sandbox, id = Sandbox(tmp_path), channel.replace(":", "-")
    install(sandbox, far.table(), hold_for=300)
    book = sandbox.notebook("go", RUNBOOK)
    running = sandbox.start("run", book, "--id", id, "--json", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sandbox.until(lambda: sandbox.status(id) == "running" and _open(sandbox), "the question")
    (prompt,) = _open(sandbox)
    with Gateway(sandbox, faults="channel.after_send@3=kill") as gateway:
        struck(sandbox, gateway.process)
    sandbox.kill(running)  # kernel and engine
    with Gateway(sandbox) as gateway:
        sandbox.until(lambda: far.questions(prompt) == {"slack": 2, "email": 2, "webhook": 1}, "every question")
        gateway.kill()
    with Gateway(sandbox) as gateway:
        _answer(far, gateway, prompt, channel)
        sandbox.until(lambda: sandbox.status(id) == "succeeded", "the end", 120)
        sandbox.until(lambda: all("Closed: yes" in text_of(m) for m in far.slack.messages(prompt)), "the end in Slack")
    assert (prompt_now(sandbox, prompt).answered_by, prompt_now(sandbox, prompt).via) == ("alice", channel)
    assert (tmp_path / "far.txt").read_text().split() == ["before", "after"]
    assert far.questions(prompt) == {"slack": 2, "email": 2, "webhook": 1}
    sandbox.assert_laws(id)


def test_the_kernel_lives_while_it_is_answered_in_slack(tmp_path: Path, slack: Slack) -> None:
    sandbox = Sandbox(tmp_path)
    install(sandbox, slack_table(slack.url), hold_for=300)
    cells = [("step:ask", "from holdfast import confirm\nconfirm('Go on?', to='alice', via='slack')\n!printf 'after\\n' >> far.txt")]
    with Gateway(sandbox, faults="prompt.after_answer=kill") as gateway:
        running = sandbox.start("run", sandbox.notebook("live", cells), "--id", "y", "--json", stderr=subprocess.DEVNULL)
        sandbox.until(lambda: _open(sandbox) and slack.messages(_open(sandbox)[0]), "the message")
        (prompt,) = _open(sandbox)
        with pytest.raises(OSError):  # killed after the answer was in, before Slack was told
            slack.click(f"{gateway.address}/api/v1/channels/slack", slack.messages(prompt)[0], "Yes", "UALICE")
        out, _ = running.communicate(timeout=120)
        assert (running.returncode, json.loads(out)["status"]) == (0, "succeeded")
    with Gateway(sandbox) as gateway:  # Slack sends a click that was not answered again
        sandbox.until(lambda: "Closed: yes, answered by alice via slack" in text_of(slack.messages(prompt)[0]), "the end")
    assert (tmp_path / "far.txt").read_text().split() == ["after"]


def _open(sandbox: Sandbox) -> list[str]:
    from holdfast.journal.opening import open_store
    from holdfast.prompts.listing import list_prompts

    store = open_store(sandbox.journal, key_file=sandbox.key_file)
    try:
        return [p.id for p in list_prompts(store)]
    finally:
        store.close()


def _body(request: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request["body"])
    return found


def _answer(far: Far, gateway: Gateway, prompt: str, channel: str) -> None:
    """Alice says yes."""
    from holdfast.events.signatures import versioned
    from holdfast.foundation import clock
    from holdfast.testing.carrying import HOOK_SECRET
    from holdfast.testing.servers.slack import post

    here = f"{gateway.address}/api/v1/channels"
    if channel == "slack":
        message = next(m for m in far.slack.messages(prompt) if m["channel"] == "DALICE")
        assert far.slack.click(f"{here}/slack", message, "Yes", "UALICE")[0] == 200
    elif channel == "email":
        mail = next(m for m in far.mail.mails(prompt) if m["To"] == "alice@example.org")
        body = mail.get_body(("plain",))
        assert body is not None
        (token,) = re.findall(r"/by/email/(\S+)", body.get_content())
        assert (
            post(f"{gateway.address}/by/email/{token}", (b"verdict=yes", {"Content-Type": "application/x-www-form-urlencoded"}))[0] == 200
        )
    else:
        told = next(h for h in map(_body, far.hook.requests("POST", "/hook")) if h["prompt"]["id"] == prompt)
        said = json.dumps({"token": told["answer"]["token"], "who": "alice", "verdict": "yes"}).encode()
        at = str(int(clock.now()))
        headers = {"X-Holdfast-Timestamp": at, "X-Holdfast-Signature": versioned(HOOK_SECRET.encode(), at, said)}
        assert post(f"{here}/{channel}", (said, headers))[0] == 200


@pytest.mark.slow
def test_a_paused_carrier_does_not_send_what_another_has_sent(tmp_path: Path, slack: Slack) -> None:
    """One that stops before it sends, and is overtaken, finds its right gone at the next message."""
    sandbox = Sandbox(tmp_path)
    install(sandbox, slack_table(slack.url), workers="queue")
    prompt = ask(sandbox, id="p1", question=Question(via=("slack",), who=("group:oncall",)))
    with Gateway(sandbox, faults="channel.after_record=stop") as gateway:
        sandbox.until(sandbox.struck, "the pause behind the first message")
        assert sandbox.holdfast("worker", "--once").status == 0
        assert len(slack.messages(prompt.id)) == 1, "its lease still counts"
        os.kill(gateway.process.pid, signal.SIGCONT)
        sandbox.until(lambda: len(slack.messages(prompt.id)) == 2, "the second message")

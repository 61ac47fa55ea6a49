"""The how-tos about channels: their files are right, their commands print what they show, their code runs."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from holdfast.channels.channel import Given, Sending, What
from holdfast.foundation import clock
from holdfast.model.prompt import Prompt, PromptKind
from holdfast.testing.carrying import install
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.mail import MailServer
from holdfast.testing.servers.slack import Slack

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (HOW_TO / f"{page}.md").read_text(), re.DOTALL)


def run(sandbox: Sandbox, block: str) -> None:
    """Run the commands of a console block; each line below one must be the beginning of a line of what it prints."""
    out: list[str] = []
    for line in block.strip().splitlines():
        if line.startswith("$ holdfast "):
            done = sandbox.holdfast(*shlex.split(line[len("$ holdfast ") :]))
            assert done.status == 0, done.err
            out = done.out.splitlines()
        else:
            assert any(printed.startswith(line) for printed in out), (line, out)


def test_ask_in_slack(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    channels, people = blocks("ask-in-slack", "toml")
    with Slack() as slack:
        install(sandbox, channels.replace("[slack]\n", f'[slack]\napi_url = "{slack.url}/api/"\n'))
        (tmp_path / "policy.toml").write_text(people)
        for block in blocks("ask-in-slack", "console"):
            run(sandbox, block)
        checks = {c["id"]: c["state"] for c in sandbox.holdfast("doctor", "--json").json["checks"]}
        assert checks["channel slack"] == "ok"
    broken = sandbox.holdfast("channels", "test", "slack", "--json")
    assert (broken.status, broken.json["error"]["code"]) == (2, "HF291")
    (tmp_path / "channels.toml").write_text(channels.replace("signing_secret", "singing_secret"))
    broken = sandbox.holdfast("channels", "list", "--json")
    assert broken.json["error"]["code"] == "HF290"
    assert "signing_secret" in broken.json["error"]["what"]


def test_ask_by_email(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    channel, settings, people = blocks("ask-by-email", "toml")
    with MailServer(tmp_path) as mail:
        here = channel.replace("smtp.example.com:587", mail.address).replace('user = "holdfast"\n', 'security = "none"\n')
        install(sandbox, here.replace('password = "env:SMTP_PASSWORD"\n', ""))
        (tmp_path / "policy.toml").write_text(people)
        (tmp_path / "holdfast.toml").write_text(settings)
        for block in blocks("ask-by-email", "console"):
            run(sandbox, block.replace("smtp.example.com:587", mail.address))


def test_add_a_channel(tmp_path: Path) -> None:
    source, suite = blocks("add-a-channel", "python")
    place: dict[str, object] = {}
    exec(source, place)
    given = Given(name="pager", table={"secret": "env:PAGER"}, secret=str.upper, folder=tmp_path, key=b"")
    channel = place["make"](given)  # type: ignore[operator]
    prompt = Prompt(id="a.1", execution="a", step=None, kind=PromptKind.CONFIRM, text="?", opened_at=clock.now())
    address = channel.addresses(_audience())[0][0]
    sending = Sending(id="a.1.1", what=What.QUESTION, prompt=prompt, runbook="r", address=address, asked_at=clock.now())
    assert channel.deliver(sending).said == {"page": 1}
    compile(suite, "suite", "exec")
    (announced,) = blocks("add-a-channel", "toml")
    group, line = re.findall(r'"(holdfast\.channels)"\]\n(.*)', announced)[0]
    about = tmp_path / "site" / "holdfast_pager-1.0.dist-info"
    about.mkdir(parents=True)
    (about.parent / "holdfast_pager.py").write_text(source)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: holdfast-pager\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{line.replace(chr(34), '')}\n")
    sandbox = Sandbox(tmp_path, environment={"PYTHONPATH": os.pathsep.join([str(about.parent), os.environ.get("PYTHONPATH", "")])})
    install(sandbox, '[pager]\nsecret = "env:HOOK_SECRET"\n')
    (found,) = sandbox.holdfast("channels", "list", "--json").json
    assert found["name"] == "pager"


def _audience() -> object:
    from holdfast.channels.channel import Audience

    return Audience(people=("alice",), about={"alice": {"email": "alice@example.com"}})

"""An installation with channels in a sandbox: a policy with people, a channels file, and a look at what became of questions."""

from __future__ import annotations

import json
from typing import Any

from holdfast.journal.opening import open_store
from holdfast.model.prompt import Prompt
from holdfast.prompts.listing import get
from holdfast.testing.gateways import Gateway
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.slack import SECRET, TOKEN

POLICY = """
[groups]
oncall = ["alice", "bob"]
leads = ["carol"]
[people.alice]
email = "alice@example.org"
slack = "UALICE"
[people.bob]
email = "bob@example.org"
slack = "UBOB"
[people.carol]
email = "carol@example.org"
slack = "UCAROL"
[people.dave]
slack = "UDAVE"
[roles.responder]
see = ["*"]
answer = ["*"]
cancel = ["*"]
[grants]
responder = ["everyone"]
"""
HOOK_SECRET, MAIL_PASSWORD = "between the two of us", "open sesame"


def install(sandbox: Sandbox, channels: str, **settings: Any) -> None:
    """Write policy and channels file, and put what they refer to into the environment. ``settings``: further ones."""
    (sandbox.folder / "policy.toml").write_text(POLICY)
    (sandbox.folder / "channels.toml").write_text(channels)
    given = {"policy_file": "policy.toml", **settings}
    sandbox.environment |= {f"HOLDFAST_{name.upper()}": str(value) for name, value in given.items()}
    sandbox.environment |= {
        "SLACK_BOT_TOKEN": TOKEN, "SLACK_SIGNING_SECRET": SECRET, "HOOK_SECRET": HOOK_SECRET, "MAIL_PASSWORD": MAIL_PASSWORD,
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def slack_table(url: str, more: str = "") -> str:
    """The table of the stand-in at ``url``."""
    return f'[slack]\ntoken = "env:SLACK_BOT_TOKEN"\nsigning_secret = "env:SLACK_SIGNING_SECRET"\napi_url = "{url}/api/"\n{more}\n'


def prompt_now(sandbox: Sandbox, id: str) -> Prompt:
    """A prompt as the journal has it."""
    store = open_store(sandbox.journal, key_file=sandbox.key_file)
    try:
        return get(store, id)
    finally:
        store.close()


def refusals(gateway: Gateway, about: str | None = None) -> list[tuple[str, str]]:
    """(who, code) of what the audit log says was not taken, the oldest first; about one prompt when given."""
    lines = gateway.sandbox.holdfast("audit", "list", "--json", "--limit", "500").json[::-1]
    return [(line["who"], line["code"]) for line in lines if line["code"] and about in (None, line["thing"])]


def text_of(message: dict[str, Any]) -> str:
    """All that a message in Slack says."""
    return json.dumps(message["blocks"], ensure_ascii=False)

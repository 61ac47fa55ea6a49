"""A wave of compromised accounts: one execution per user through the pack's own rule, workers killed meanwhile, each user answered for."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from holdfast.journal.opening import open_store
from holdfast.prompts.answering import answer
from holdfast.prompts.listing import list_prompts
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.aws import AwsServer
from holdfast.testing.servers.counting import CountingServer

pytestmark = [pytest.mark.crash, pytest.mark.slow]

PACK = Path(__file__).parents[2] / "runbooks" / "security"
USERS = [f"user-{n}" for n in range(12)]
SAID = ["disable", "reset password", "ignore"]


def test_a_wave_of_compromised_accounts(tmp_path: Path) -> None:
    shutil.copytree(PACK, tmp_path / "runbooks" / "security")
    with AwsServer() as aws, CountingServer(tmp_path) as tickets:
        iam = boto3_iam(aws)
        for user in USERS:
            iam.create_user(UserName=user)
            iam.create_login_profile(UserName=user, Password="Rehearsal-only-1")
            iam.create_access_key(UserName=user)
        aws.reset_recording()
        sandbox = Sandbox(
            tmp_path, environment={**aws.environment, "HOLDFAST_HOLD_FOR": "0", "HOLDFAST_STATE_DIR": str(tmp_path / ".holdfast")}
        )
        event = {"specversion": "1.0", "source": "/siem", "type": "com.example.siem.login.malicious"}
        wave = [
            {**event, "id": f"{user}-{n}", "data": {"user": user, "incident": f"i-{user}", "tickets": f"{tickets.url}/tickets?honour=1"}}
            for user in USERS
            for n in (1, 2)  # the SIEM says everything twice
        ]
        (tmp_path / "wave.json").write_text(json.dumps(wave))
        assert sandbox.holdfast("events", "send", tmp_path / "wave.json").status == 0
        workers = [sandbox.start("worker", "--concurrency", "2", stdout=None, stderr=None) for _ in range(2)]
        answered: set[str] = set()
        killed = False

        def over() -> bool:
            nonlocal killed
            say(sandbox, answered)
            if len(answered) >= 4 and not killed:
                killed = True
                sandbox.kill(workers[0])
                workers[0] = sandbox.start("worker", "--concurrency", "2", stdout=None, stderr=None)
            found = sandbox.holdfast("list", "--json").json
            return len(found) == len(USERS) and all(e["status"] == "succeeded" for e in found)

        try:
            sandbox.until(over, "the end of all", 1200)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(60)
        assert killed
        assert Counter(e["parameters"]["user"] for e in sandbox.holdfast("list", "--json").json) == dict.fromkeys(USERS, 1)
        opened = {r["headers"]["Idempotency-Key"]: json.loads(r["body"])["done"] for r in tickets.requests("POST", "/tickets")}
        # Security has not agreed to ignore anything: those accounts are disabled.
        assert opened == {f"incident-i-{user}": said if said != "ignore" else "disable" for user, said in zip(USERS, SAID * 4, strict=True)}
        for user, said in zip(USERS, SAID * 4, strict=True):
            assert [k["Status"] for k in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]] == ["Inactive"], user
            disabled = "HoldfastDisabled" in iam.list_user_policies(UserName=user)["PolicyNames"]
            assert disabled == (said != "reset password"), user
        for execution in sandbox.holdfast("list", "--json").json:
            sandbox.assert_laws(execution["id"])


def say(sandbox: Sandbox, answered: set[str]) -> None:
    """Answer what is open: each user their own wish, security a no."""
    store = open_store(sandbox.journal, key_file=sandbox.key_file)
    try:
        for prompt in list_prompts(store):
            (number,) = set(re.findall(r"user-(\d+)", prompt.text))
            user = USERS[int(number)]
            if "What is to be done?" in prompt.text:
                answer(store, prompt.id, SAID[USERS.index(user) % 3], who=user, via="test")
                answered.add(user)
            else:
                answer(store, prompt.id, "no", who="eve", via="test", why="not by me", groups=["security"])
    finally:
        store.close()


def boto3_iam(aws: AwsServer) -> Any:
    import boto3

    keys = {"aws_access_key_id": "t", "aws_secret_access_key": "t"}
    client: Any = boto3.client
    return client("iam", endpoint_url=aws.url, region_name="us-east-1", **keys)

"""The rehearsals of the runbooks in this folder: a local AWS (moto) for IAM, and a ticket system that counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from holdfast.testing.rehearsal import Answer, Stage, rehearsal
from holdfast.testing.servers.aws import AwsServer
from holdfast.testing.servers.counting import CountingServer


class Accounts:
    """Users with a password and two active keys each, and what has been done to them."""

    def __init__(self, server: AwsServer, *users: str) -> None:
        keys = {"aws_access_key_id": "rehearsal", "aws_secret_access_key": "rehearsal"}
        self._server, self.users = server, users
        self._iam: Any = boto3.client("iam", endpoint_url=server.url, region_name="us-east-1", **keys)
        self._keys: dict[str, str] = {}
        for user in users:
            self._iam.create_user(UserName=user)
            self._iam.create_login_profile(UserName=user, Password="rehearsal-Only-1")  # noqa: S106 of a stand-in
            for n in (1, 2):
                self._keys[self._iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]] = f"key {n} of {user}"
        server.reset_recording()

    def effects(self) -> Counter[str]:
        """Changes that have reached IAM."""
        done = Counter(f"{self._keys[r['AccessKeyId']]}: {r['Status']}" for r in self._server.actions("UpdateAccessKey"))
        done.update(f"{r['UserName']}: {r['PolicyName']}" for r in self._server.actions("PutUserPolicy"))
        return done

    def state(self) -> dict[str, Any]:
        """What each account could still be used for."""
        found = {}
        for user in self.users:
            keys = self._iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
            found[user] = {
                "active": sum(k["Status"] == "Active" for k in keys),
                "policies": self._iam.list_user_policies(UserName=user)["PolicyNames"],
            }
        return found


def opened(tickets: CountingServer) -> Counter[str]:
    """Tickets by their Idempotency-Key: a second request with the same key opens none."""
    asked = {r["headers"]["Idempotency-Key"]: json.loads(r["body"]) for r in tickets.requests("POST", "/tickets")}
    return Counter(f"ticket {body['incident']}: {body['done']}" for body in asked.values())


# Naming the state they end in, these may reach AWS again when nobody could write down that they had.
AGAIN = frozenset(f"mallory: {policy}" for policy in ("HoldfastRevokedSessions", "HoldfastDisabled")) | {
    f"key {n} of mallory: Inactive" for n in (1, 2)
}


@rehearsal("compromised-account", repeated=AGAIN)
@contextmanager
def account(folder: Path) -> Iterator[Stage]:
    """IAM with the user `mallory`, who does not answer: the administrator is asked after a second, and says *disable*."""
    with AwsServer() as aws, CountingServer(folder) as tickets:
        accounts = Accounts(aws, "mallory")
        yield Stage(
            environment=aws.environment,
            parameters={
                "user": "mallory",
                "incident": "4711",
                "tickets": f"{tickets.url}/tickets?honour=1",
                "security": ["eve"],
                "remind_every": "1 min",
                "escalate_after": "1 s",
            },
            answers={"malicious login attempt on mallory": Answer("disable", who=("eve",), after=1.5)},
            effects=lambda: accounts.effects() + opened(tickets),
            state=lambda: {"accounts": accounts.state(), "tickets": sorted(opened(tickets))},
        )

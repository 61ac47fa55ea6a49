"""Setting guardrails aside from the command line or a notebook: the policy is asked, and the act is on record before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.access.audit import AuditLog
from holdfast.client import Client
from holdfast.client.glass import break_glass
from holdfast.config import Config
from holdfast.errors import HoldfastError
from holdfast.guardrails.breaking import broken_glass
from holdfast.journal.opening import open_store
from holdfast.model.execution import Execution, Status
from holdfast.model.guardrail import BREAKABLE

POLICY = '[roles.breaker]\nbreak-glass = ["ec2-*"]\n[grants]\nbreaker = ["alice"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.toml").write_text(POLICY)
    return tmp_path


def client(folder: Path, user: str, *, policy: bool = True) -> Client:
    settings = {"policy_file": folder / "policy.toml"} if policy else {}
    config = Config.load(folder=folder, environment={}, user=user, **settings)
    return Client(open_store(config.journal, key_file=config.key_file), config)


@pytest.fixture
def alice(folder: Path) -> Iterator[Client]:
    made = client(folder, "alice")
    for runbook in ("ec2-volumes", "dns"):
        made.store.create(Execution(id=f"{runbook}-1", runbook=runbook, status=Status.FAILED))
    yield made
    made.close()


def acts(of: Client) -> list[tuple[str, str, str | None, str | None]]:
    return [(a.outcome, a.who, a.thing, a.code) for a in AuditLog(of.store).list()]


def test_who_may_is_heard_and_audited_with_the_reason(alice: Client) -> None:
    glass = break_glass(alice, "ec2-volumes-1", why="INC-7: the disk is full", length="30 min", via="cli", how="login")
    assert glass.guardrails == tuple(map(str, BREAKABLE))
    assert [(g.who, g.why) for g in broken_glass(alice.store, "ec2-volumes-1")] == [("alice", "INC-7: the disk is full")]
    assert acts(alice) == [("allowed", "alice", "ec2-volumes-1", None)]
    assert AuditLog(alice.store).list()[0].detail == "INC-7: the disk is full"


@pytest.mark.parametrize(("user", "execution"), [("alice", "dns-1"), ("bob", "ec2-volumes-1")])
def test_who_may_not_is_refused_and_audited(alice: Client, folder: Path, user: str, execution: str) -> None:
    asker = client(folder, user)
    with pytest.raises(HoldfastError, match="HF702"):
        break_glass(asker, execution, why="INC-7: the disk is full", via="cli", how="login")
    assert broken_glass(alice.store, execution) == []
    assert acts(alice) == [("refused", user, execution, "HF702")]
    asker.close()


@pytest.mark.parametrize(
    ("why", "length", "named"),
    [("", None, []), ("urgent", None, []), ("INC-7: the disk is full", "2 days", []), ("INC-7: the disk is full", "soon", []),
     ("INC-7: the disk is full", None, ["lock"]), ("INC-7: the disk is full", None, ["class"])],
)  # fmt: skip
def test_no_reason_no_glass(alice: Client, why: str, length: str | None, named: list[str]) -> None:
    with pytest.raises(HoldfastError, match="HF284"):
        break_glass(alice, "ec2-volumes-1", why=why, length=length, guardrails=named, via="cli", how="login")
    assert broken_glass(alice.store, "ec2-volumes-1") == []
    assert [a[0] for a in acts(alice)] == ["allowed", "failed"]


def test_without_a_policy_the_owner_may(alice: Client, folder: Path) -> None:
    owner = client(folder, "me", policy=False)
    assert break_glass(owner, "dns-1", why="INC-7: the disk is full", via="cli", how="login").who == "me"
    owner.close()

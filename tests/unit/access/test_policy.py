"""The policy file: what it grants, what it refuses to mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.access.person import Person
from holdfast.access.policy import Policy, PolicyFile
from holdfast.access.tokens import Tokens, owner_token
from holdfast.errors import OperatorError

CONTENT: dict[str, Any] = {
    "groups": {"oncall": ["alice"]},
    "people": {"bob": {"groups": ["oncall"], "email": "bob@example.com", "slack": "U1"}},
    "roles": {
        "viewer": {"see": ["*"]},
        "responder": {
            "includes": ["viewer"],
            "start": ["restart-*", "!restart-prod"],
            "answer": ["drain/gate", "web"],
            "secrets": ["web/password"],
        },
    },
    "grants": {"viewer": ["everyone"], "responder": ["group:oncall", "group:sso"]},
}


@pytest.mark.parametrize(
    ("person", "action", "thing", "may"),
    [
        (Person(name="alice"), "start", "restart-web", True),
        (Person(name="bob"), "start", "restart-web", True),
        (Person(name="carol"), "start", "restart-web", False),
        (Person(name="carol", groups=("sso",)), "start", "restart-web", True),
        (Person(name="alice"), "start", "restart-prod", False),
        (Person(name="alice"), "start", "other", False),
        (Person(name="carol"), "see", "anything", True),
        (Person(name="alice"), "see", "anything", True),
        (Person(name="alice"), "answer", "drain/gate", True),
        (Person(name="alice"), "answer", "drain/other", False),
        (Person(name="alice"), "answer", "web/any", True),
        (Person(name="alice"), "answer", "website/any", False),
        (Person(name="alice"), "secrets", "web/password", True),
        (Person(name="alice"), "secrets", "web/token", False),
        (Person(name="alice"), "cancel", "restart-web", False),
        (Person(name="group:oncall"), "start", "restart-web", False),
        (Person(name="role:responder"), "start", "restart-web", False),
        (Person(name="responder"), "start", "restart-web", False),
        (Person(name="x", owner=True), "cancel", "anything", True),
    ],
)
def test_what_is_granted_is_allowed_and_nothing_else(person: Person, action: str, thing: str, may: bool) -> None:
    assert Policy(CONTENT).allows(person, action, thing) is may


def test_an_empty_policy_denies_everything() -> None:
    assert not any(Policy({}).allows(Person(name="alice"), action, "x") for action in ("see", "start", "answer", "audit"))


def test_people_are_found_by_what_a_message_says_of_them() -> None:
    policy = Policy(CONTENT)
    assert policy.people.by("slack", "U1") == policy.people.by("email", "bob@example.com") == "bob"
    assert policy.people.by("slack", "") is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"rolls": {}}, "did you mean 'roles'"),
        ({"roles": {"a": {"strat": ["*"]}}}, "did you mean 'start'"),
        ({"roles": {"a": {"start": "*"}}}, "not a list"),
        ({"roles": {"a": {"includes": ["b"]}}}, "no role"),
        ({"grants": {"a": ["x"]}}, "no such role"),
        ({"people": {"a": {"email": "x"}, "b": {"email": "x"}}}, "two people"),
        ({"groups": []}, "not a table"),
    ],
)
def test_what_is_not_understood_is_refused(content: dict[str, Any], says: str) -> None:
    with pytest.raises(OperatorError) as refused:
        Policy(content)
    assert refused.value.code == "HF265"
    assert says in refused.value.what


def test_a_changed_file_counts_at_once_and_a_broken_one_denies(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[roles.r]\nsee = ["*"]\n[grants]\nr = ["alice"]\n')
    file = PolicyFile(path)
    assert file.current().allows(Person(name="alice"), "see", "x")
    path.write_text('[roles.r]\nsee = ["*"]\n[grants]\nr = ["bob", "eve"]\n')
    assert not file.current().allows(Person(name="alice"), "see", "x")
    path.write_text("[roles")
    for _ in range(2):
        with pytest.raises(OperatorError):
            file.current()
    path.unlink()
    with pytest.raises(OperatorError):
        file.current()


def test_tokens_are_kept_as_digests_and_end_when_revoked_or_expired(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    text, short = tokens.make("alice", label="laptop", groups=("oncall",)), tokens.make("bob", lasts=-1)
    assert text not in tokens.path.read_text()
    assert tokens.path.stat().st_mode & 0o077 == 0
    known = Tokens(tokens.path).recognise(text)
    assert known is not None
    assert (known.name, known.groups) == ("alice", ("oncall",))
    assert tokens.recognise(short) is None
    assert tokens.recognise(text[:-1] + ("a" if text[-1] != "a" else "b")) is None
    assert tokens.recognise("") is None
    assert tokens.revoke(known.token or "")
    assert Tokens(tokens.path).recognise(text) is None
    assert not tokens.revoke("none")


def test_the_owners_token_stays_the_same_and_is_his_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = owner_token(path)
    assert owner_token(path) == token
    assert path.stat().st_mode & 0o077 == 0
    os.chmod(path, 0o644)  # others may have read it meanwhile
    assert owner_token(path) != token

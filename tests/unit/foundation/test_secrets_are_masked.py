"""Secrets are taken out of what people read, and nothing else is."""

from __future__ import annotations

import pytest

from holdfast.foundation.secrets import Redactor

MASKED = [
    ("curl -H 'Authorization: Bearer abc.def'", "abc.def"),
    ("mysql --password=hunter2 -h db", "hunter2"),
    ("mysql --password hunter2 -h db", "hunter2"),
    ("export AWS_SECRET_ACCESS_KEY=abcd1234/x; aws s3 ls", "abcd1234"),
    ("GET https://user:pass-word@host/x", "pass-word"),
    ("GET https://host/x?api_key=k-12345&page=2", "k-12345"),
]


@pytest.mark.parametrize(("text", "secret"), MASKED)
def test_what_stands_where_secrets_stand_is_masked(text: str, secret: str) -> None:
    shown = Redactor().redact(text)
    assert secret not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "kubectl get pods -n prod",
        "GET https://host/x?page=2",
        "aws ec2 describe-volumes --next-token-not",
        "echo keyboard=us",
        "./token-tool run",
        "",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert Redactor().redact(text) == text


def test_names_decide_in_nested_values() -> None:
    given = {"Headers": [["X-Api-Key", "k"], ["Accept", "a"]], "body": {"password": "p", "user": "u", "SecretString": "s"}, "n": 1}
    assert Redactor().redact(given) == {
        "Headers": [["X-Api-Key", "***"], ["Accept", "a"]],
        "body": {"password": "***", "user": "u", "SecretString": "***"},
        "n": 1,
    }


def test_registered_values_are_masked_wherever_they_turn_up() -> None:
    redactor = Redactor(("s3cr3t-value",))
    assert redactor.redact(["a s3cr3t-value b", {"x": "s3cr3t-value"}]) == ["a *** b", {"x": "***"}]


def test_short_values_are_not_registered() -> None:
    assert Redactor(("abc",)).redact("abcdef") == "abcdef"


def test_hidden_values_come_back_in_a_process_that_knows_them() -> None:
    hidden = Redactor(("s3cr3t-value",)).hide({"a": ["x s3cr3t-value", 1]})
    assert "s3cr3t" not in str(hidden)
    assert Redactor(("s3cr3t-value", "other-value")).reveal(hidden) == {"a": ["x s3cr3t-value", 1]}
    assert Redactor().reveal(hidden) == hidden

"""``secret``: by reference, masked, and never put away."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from holdfast import secret
from holdfast.errors import OperatorError
from holdfast.foundation.secrets import Redactor


def test_it_is_a_text_that_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "t0psecret")
    token = secret("env:MY_TOKEN")
    assert token == "t0psecret"
    assert repr(token) == "'***'"


def test_what_is_put_away_is_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "t0psecret")
    kept = pickle.dumps([secret("env:MY_TOKEN"), str(secret("env:MY_TOKEN")), secret("env:MY_TOKEN").strip()])
    assert b"t0psecret" not in kept
    monkeypatch.setenv("MY_TOKEN", "changed meanwhile")
    assert pickle.loads(kept) == ["changed meanwhile"] * 3


def test_a_file_without_the_white_space_around(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pass word\n")
    assert secret(f"file:{tmp_path}/password") == "pass word"


@pytest.mark.parametrize("given", ["env:NOT_THERE", "file:/not/there", "nobody:knows", "xoxb-the-secret-itself", "k8s:only/two", "env:"])
def test_a_reference_that_leads_nowhere(given: str) -> None:
    with pytest.raises(OperatorError) as caught:
        secret(given)
    assert caught.value.code == "HF219"
    assert "xoxb" not in str(caught.value), "what was given by mistake is not told"


def test_values_in_bodies_are_hidden_and_come_back() -> None:
    redactor = Redactor(("t0psecret",))
    value = {"body": b'\xff\x00{"token": "t0psecret"}', "headers": [["a", "t0psecret"]], "n": 1}
    hidden = redactor.hide(value)
    assert b"t0psecret" not in hidden["body"] and hidden["headers"][0][1] != "t0psecret"
    assert redactor.reveal(hidden) == value


def test_outputs_are_masked_and_otherwise_untouched() -> None:
    redactor = Redactor(("t0psecret",))
    shown = {"data": {"text/plain": "a t0psecret and --password x"}, "count": 1}
    assert redactor.shroud(shown) == {"data": {"text/plain": "a *** and --password x"}, "count": 1}

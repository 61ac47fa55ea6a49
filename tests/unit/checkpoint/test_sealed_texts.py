"""Texts that were made of a secret: none of their forms is put away, and a restore makes them anew of the secret as it is then."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from holdfast.checkpoint import sealing
from holdfast.checkpoint.pickler import dump, load
from holdfast.checkpoint.space import Space

OLD, NEW = 'p/s+w "rd', "changed & longer"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, Any] = {"_values": {}, "_forms": {}, "_pattern": None, "_bytes": None, "recall": None}
    for name, value in state.items():
        monkeypatch.setattr(sealing, name, value)


def forget(recall: Callable[[str], str] | None) -> None:
    """Another process."""
    sealing._values.clear()
    sealing._forms.clear()
    sealing._pattern = sealing._bytes = None
    sealing.recall = recall


def put(*values: Any) -> bytes:
    made = dump(Space({}), {}, values)
    assert not made.holes
    return made.stream.getvalue()


def made_of(secret: str) -> list[Any]:
    header = {"Authorization": f"Bearer {secret}", "url": f"https://u:{quote(secret, safe='')}@h/?a=b", secret: [f"{secret}{secret}"]}
    return [header, (f"-p {secret}".encode(), b"\xff" + secret.encode()), {f"x{secret}"}, "plain", b"plain", 7]


def test_what_is_put_away_has_no_secret_and_comes_back_with_the_new_one() -> None:
    sealing.keep("env:T", OLD)
    stream = put(made_of(OLD))
    assert OLD.encode() not in stream and quote(OLD, safe="").encode() not in stream
    assert load(Space({}), stream, []) == (made_of(OLD),)
    asked = []
    forget(lambda reference: asked.append(reference) or OLD)  # type: ignore[func-returns-value]
    assert load(Space({}), stream, []) == (made_of(OLD),)
    assert set(asked) == {"env:T"}
    forget(lambda reference: NEW)
    assert load(Space({}), stream, []) == (made_of(NEW),)


def test_in_base64_it_comes_back_unless_it_has_changed() -> None:
    sealing.keep("env:T", OLD)
    text = "Basic " + base64.b64encode(f"me:{OLD}".encode()).decode()
    stream = put(text)
    assert text[12:-4].encode() not in stream
    forget(lambda reference: OLD)
    assert load(Space({}), stream, []) == (text,)
    forget(lambda reference: NEW)
    with pytest.raises(ValueError, match="make the text where it is used"):
        load(Space({}), stream, [])
    forget(None)
    with pytest.raises(ValueError, match="nobody here can follow env:T"):
        load(Space({}), stream, [])


def test_two_secrets_and_one_that_changes_while_it_is_used() -> None:
    sealing.keep("env:A", "first-secret")
    sealing.keep("env:B", "second-secret")
    sealing.keep("env:A", "first-secret-renewed")  # longer, and the old one begins it
    stream = put(["first-secret-renewed/second-secret", "first-secret."])
    assert b"secret-" not in stream and b"first-" not in stream
    forget({"env:A": "one-two", "env:B": "three-four"}.__getitem__)
    assert load(Space({}), stream, []) == (["one-two/three-four", "one-two."],)


def test_short_ones_and_none_cost_nothing() -> None:
    assert not sealing.may_hold_secret(pickle.dumps("text"))
    sealing.keep("env:T", "abc")
    assert load(Space({}), put("abcdef"), []) == ("abcdef",)
    assert sealing.sealed("abcdef") is None

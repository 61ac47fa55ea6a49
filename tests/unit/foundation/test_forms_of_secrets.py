"""A registered secret is found in whatever form it stands in a text, and gets back whole into what was recorded."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest

from holdfast.foundation.secrets import Redactor, forms_of

VALUE = 'p/s+ö"w <rd>&\n\\%7'
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in an address": lambda v: "https://h/?q=" + quote(v, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in a query": lambda v: urlencode({"a": "b", "x": v}),
    "with small letters": lambda v: re.sub("%..", lambda m: m.group().lower(), quote(v, safe="")),
    "in JSON": lambda v: json.dumps({"a": [v]}),
    "in JSON with its letters": lambda v: json.dumps({"a": v}, ensure_ascii=False),
    "in JSON that was put into a page": lambda v: json.dumps(v).replace("/", "\\/"),
    "in a repr": lambda v: repr([v]),
    "in HTML": html.escape,
    "hexadecimal": lambda v: v.encode().hex(),
}


def parts(value: str) -> list[str]:
    """Pieces of the secret that nothing may show."""
    return [value[i : i + 6] for i in range(len(value) - 5)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [VALUE, "plain-Token_123", "12345678"])
def test_in_other_texts(form: str, value: str) -> None:
    redactor = Redactor((value,))
    text = FORMS[form](value)
    assert "***" in redactor.text(text)
    assert not [p for p in parts(FORMS[form](value)) if p in redactor.text(text) and p not in FORMS[form]("")]
    hidden = redactor.hide({"body": text.encode(), "text": [text]})
    assert text.encode() not in hidden["body"]
    again = Redactor((value,))  # another process
    assert again.reveal(hidden) == {"body": text.encode(), "text": [text]}


@pytest.mark.parametrize("value", [VALUE, "plain-Token_123", "t0psecret", "t0psecre", "t0psecr"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u", "us", "usr", "admin:", "a:b:"])
@pytest.mark.parametrize("after", ["", "\n", "@h", "xyz"])
def test_in_base64_wherever_it_stands(value: str, encode: Callable[[bytes], bytes], before: str, after: str) -> None:
    text = encode(f"{before}{value}{after}".encode()).decode()
    redactor = Redactor((value,))
    shown = redactor.text(f"auth {text} end")
    assert "***" in shown
    left = shown.removeprefix("auth ").removesuffix(" end").replace("***", "")
    core = max(forms_of(value) & {f for f in forms_of(value) if f in text}, key=len)
    assert len(left) == len(text) - len(core)
    assert 4 * len(value.encode()) / 3 - len(core) < 3.5  # what is left over tells less than two letters
    assert redactor.reveal(redactor.hide([text])) == [text]


def test_short_ones_do_not_mask_half_the_text() -> None:
    redactor = Redactor(("abc", "12345"))
    assert redactor.text("abcdef 3132 MTIz") == "abcdef 3132 MTIz"
    assert redactor.text("12345") == "***"


def test_what_a_text_stands_in_stays_what_it_is() -> None:
    redactor, rows = Redactor(("12345",)), [("x", 1), ("of 12345", ["12345", ("y",)])]
    hidden = redactor.hide(rows)
    assert "12345" not in repr(hidden)
    assert repr(redactor.reveal(hidden)) == repr(rows), "a tuple is no list: a row on record is compared with the row that is read again"
    assert redactor.shroud(rows) == [("x", 1), ("of ***", ["***", ("y",)])]

"""Texts that were made of a secret (``f"Bearer {token}"``): a checkpoint keeps where the secret is, and the text around it. A restore asks
for the secret again, so that one which was changed meanwhile is in them, too."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

from holdfast.foundation.secrets import encoded_forms, forms_of, name_of, plain_forms

_TAG = "holdfast secret"
_lock = threading.Lock()
_values: dict[str, str] = {}  # reference -> value
_forms: dict[str, tuple[str, int, str]] = {}  # a text as it stands in others -> reference, number of the form, whose form it is
_pattern: re.Pattern[str] | None = None
_bytes: re.Pattern[bytes] | None = None
#: Follows a reference; whoever knows how puts it here.
recall: Callable[[str], str] | None = None


def keep(reference: str, value: str) -> None:
    """From now on the secret is not put away, in whatever text it stands."""
    global _pattern, _bytes
    known = forms_of(value)
    with _lock:
        if not known or _values.get(reference) == value:
            return
        _values[reference] = value
        numbered = reversed(list(enumerate(_numbered(value))))  # where two forms are the same, the first one's number
        _forms.update({text: (reference, number, name_of(value)) for number, text in numbered if text in known})
        longest_first = sorted(_forms, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first)))
        _bytes = re.compile(b"|".join(re.escape(text.encode("utf-8", "surrogatepass")) for text in longest_first))


def may_hold_secret(stream: bytes) -> bool:
    """Whether there is a secret in pickled bytes."""
    return _bytes is not None and _bytes.search(stream) is not None


def sealed(o: Any) -> Any:
    """What stands for a text in a pickle; None: the text itself."""
    if _pattern is None or type(o) not in (str, bytes):
        return None
    text = o if type(o) is str else o.decode("utf-8", "surrogateescape")
    parts: list[Any] = []
    place = 0
    for found in _pattern.finditer(text):
        parts += [text[place : found.start()], _forms[found.group()]]
        place = found.end()
    return (_TAG, type(o) is str, (*parts, text[place:])) if parts else None


def is_sealed(pid: Any) -> bool:
    """Whether it is what :func:`sealed` gave."""
    return isinstance(pid, tuple) and len(pid) == 3 and pid[0] == _TAG


def unsealed(pid: Any) -> str | bytes:
    """The text.

    Raises:
        ValueError: it holds the secret in an encoding that its neighbours have a part in, and the secret has changed since.
        OperatorError: HF219, the secret cannot be had.
    """
    text = "".join(part if isinstance(part, str) else _form(*part) for part in pid[2])
    return text if pid[1] else text.encode("utf-8", "surrogateescape")


def _form(reference: str, number: int, name: str) -> str:
    value = _values.get(reference)
    if value is None:
        if recall is None:
            raise ValueError(f"nobody here can follow {reference}")
        value = recall(reference)
    if number >= len(plain_forms(value)) and name_of(value) != name:
        raise ValueError(f"a text holds the secret {reference} encoded, and it has changed since: make the text where it is used")
    return _numbered(value)[number]


def _numbered(value: str) -> list[str]:
    return [*plain_forms(value), *encoded_forms(value)]

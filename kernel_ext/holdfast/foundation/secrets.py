"""Keeps secrets out of what people read: registered values, and whatever stands under a name that says it is one."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import html
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"

#: Names of headers, parameters, options and keys whose value is a secret. Compared without case, ``-`` and ``_``.
NAMES = frozenset(
    "authorization proxyauthorization cookie setcookie xapikey apikey appkey accesskey accesstoken refreshtoken idtoken token authtoken "
    "xauthtoken xamzsecuritytoken sessiontoken secret clientsecret secretkey secretaccesskey awssecretaccesskey privatekey password passwd "
    "pwd passphrase credential credentials signature xamzsignature xamzcredential ddapikey ddapplicationkey ddappkey xvaulttoken "
    "secretstring secretbinary masteruserpassword connectionstring webhookurl".split()
)

_SHORTEST = 4  # a registered value shorter than this would mask half the text
_SHORTEST_ENCODED = 6  # bytes of one that is also looked for encoded
_ESCAPE = re.compile("%[0-9A-F]{2}")
_URL_SAFE = str.maketrans("+/", "-_")

_WORD = r"[\w.-]*(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|app[_-]?key|access[_-]?key|credentials?|signature)"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?P<a>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@'\"]*:)[^\s/@'\"]+(?=@)"), r"\g<a>" + MASK),  # scheme://user:password@
    (re.compile(rf"(?i)(?P<a>[?&]{_WORD}=)[^&\s'\"#]+"), r"\g<a>" + MASK),  # ?token=...
    (re.compile(rf"(?i)(?P<a>--?{_WORD}(?:=|\s+))(?:'[^']*'|\"[^\"]*\"|(?!-)\S+)"), r"\g<a>" + MASK),  # --password x
    (re.compile(rf"(?i)(?P<a>\b{_WORD}=)(?:'[^']*'|\"[^\"]*\"|[^\s&;'\"]+)"), r"\g<a>" + MASK),  # TOKEN=x command
    (re.compile(r"(?i)(?P<a>\b(?:authorization|x-[\w-]*(?:token|key)|cookie)\s*:\s*)[^'\"\r\n]+"), r"\g<a>" + MASK),  # -H 'Cookie: x'
    (re.compile(r"(?i)(?P<a>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"), r"\g<a>" + MASK),
)
_HINT = re.compile(r"(?i)://|token|secret|passw|passphrase|key|credential|signature|authorization|cookie|bearer|basic")


class Redactor:
    """Replaces secrets by ``***`` in texts and in nested JSON-like values. Thread-safe.

    Args:
        values: secrets known from the start.
        is_secret: whether a name says that its value is one; by default those of :data:`NAMES`.
    """

    def __init__(self, values: tuple[str, ...] = (), *, is_secret: Callable[[str], bool] | None = None) -> None:
        self._is_secret = is_secret or _is_secret
        self._lock = threading.Lock()
        self._values: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._hide: re.Pattern[str] | None = None
        self._hidden: dict[str, str] = {}  # stand-in -> a form of a value
        self._names: dict[str, str] = {}  # and back
        self.has_values = False
        for value in values:
            self.register(value)

    def register(self, value: str) -> None:
        """Mask ``value`` in texts, and hide it in values, wherever it turns up from now on. Must be done in every process that is to get
        it back. Values of less than 4 characters are not masked."""
        if len(value) >= _SHORTEST:
            forms = {_stand_in(value, form): form for form in forms_of(value)}
            with self._lock:
                self._hidden = {**self._hidden, **forms}
                self._names = {form: name for name, form in self._hidden.items()}
                self._hide = _any_of(self._names)
                self.has_values = True
            self.mask(value)

    def mask(self, value: str) -> None:
        """Mask ``value`` in texts for people only."""
        if len(value) >= _SHORTEST:
            with self._lock:
                self._values |= forms_of(value)
                self._pattern = _any_of(self._values)

    def redact(self, value: Any) -> Any:
        """A copy of ``value`` without secrets; ``value`` itself where there are none to be found (numbers, None)."""
        if type(value) is str:
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                name: MASK if isinstance(name, str) and self._is_secret(name) and item is not None else self.redact(item)
                for name, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._pair(item) for item in value]
        if isinstance(value, str):
            return self.text(str(value))
        return value

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        if _HINT.search(text) is not None:
            for pattern, replacement in _PATTERNS:
                text = pattern.sub(replacement, text)
        return text

    def shroud(self, value: Any) -> Any:
        """A copy of ``value`` (JSON types) in whose texts registered secrets are masked, and nothing else is changed; ``value`` itself
        where there are none registered."""
        pattern = self._pattern
        return value if pattern is None else _map_texts(value, lambda text: pattern.sub(MASK, text))

    def hide(self, value: Any) -> Any:
        """``value`` (JSON types) with registered secrets replaced by stand-ins from which :meth:`reveal` gets them back."""
        pattern, names = self._hide, self._names
        return value if pattern is None else _map_texts(value, lambda text: pattern.sub(lambda m: names[m.group()], text))

    def reveal(self, value: Any) -> Any:
        """The opposite of :meth:`hide`, as far as the secrets are registered in this process too."""
        hidden = self._hidden
        return _map_texts(value, lambda text: _STAND_IN.sub(lambda m: hidden.get(m.group(), m.group()), text) if _OPEN in text else text)

    def _pair(self, item: Any) -> Any:
        """Headers come as pairs too."""
        if isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str) and self._is_secret(item[0]):
            return [item[0], MASK]
        return self.redact(item)


_OPEN = "\u27e6secret:"
_STAND_IN = re.compile(_OPEN + "[0-9a-f]{16}\u27e7")


def _stand_in(value: str, form: str) -> str:
    """Names a form of a secret without telling it: 64 bits of a slow digest, the same in every process."""
    digest = _slow(value)
    if form != value:
        digest = hmac.digest(digest, form.encode("utf-8", "surrogatepass"), "sha256")[:8]
    return f"{_OPEN}{digest.hex()}\u27e7"


@functools.lru_cache(maxsize=1024)
def _slow(value: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", value.encode("utf-8", "surrogatepass"), b"holdfast secret", 20_000, 8)


def name_of(value: str) -> str:
    """Tells one secret from another without telling it."""
    return _slow(value).hex()


@functools.lru_cache(maxsize=1024)
def plain_forms(value: str) -> tuple[str, ...]:
    """A secret as it is, in an address, a JSON or HTML text, a ``repr``, hexadecimal: always so many, some of them the same."""
    raw = value.encode("utf-8", "surrogatepass")
    percent = (quote(raw, safe=""), quote(raw), quote_plus(raw))
    small = (_ESCAPE.sub(lambda m: m.group().lower(), text) for text in percent)
    ascii_json, json_text = (json.dumps(value, ensure_ascii=e)[1:-1] for e in (True, False))
    return (
        value, *percent, *small, html.escape(value), repr(value)[1:-1], ascii_json, json_text, ascii_json.replace("/", "\\/"),
        raw.hex(), raw.hex().upper(),
    )  # fmt: skip


@functools.lru_cache(maxsize=1024)
def encoded_forms(value: str) -> tuple[str, ...]:
    """A secret in base64, wherever in what was encoded it stood: what no neighbour has a part in."""
    raw = value.encode("utf-8", "surrogatepass")
    found: list[str] = []
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[before] : len(encoded) - (1 if (before + len(raw)) % 3 else 0)]
        found += [whole, whole.translate(_URL_SAFE)]
    return tuple(found)


@functools.lru_cache(maxsize=1024)
def forms_of(value: str) -> frozenset[str]:
    """How a secret stands in other texts; one of less than 4 characters stands everywhere, and has none."""
    if len(value) < _SHORTEST:
        return frozenset()
    enough = len(value.encode("utf-8", "surrogatepass")) >= _SHORTEST_ENCODED
    return frozenset((*plain_forms(value), *encoded_forms(value)) if enough else plain_forms(value)[:-2])


def _any_of(values: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(values, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    kind = type(value)
    if kind is str:
        return change(value)
    if isinstance(value, str):  # a secret itself is one
        return change(str.__str__(value))
    if kind is bytes:  # an HTTP body; any bytes come back as they were
        text = value.decode("utf-8", "surrogateescape")
        changed = change(text)
        return value if changed == text else changed.encode("utf-8", "surrogateescape")
    if kind is list or kind is tuple:  # as what it came: a recorded row must be equal to the same row read again
        return kind(_map_texts(item, change) for item in value)
    if kind is dict:
        return {change(str.__str__(k)) if isinstance(k, str) else k: _map_texts(v, change) for k, v in value.items()}
    return value


_SECRET_NAME = re.compile(rf"(?i){_WORD}|(?:.*_)?(?:pwd|private_?key|secret_?key|webhook_?url)")


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret, as far as a name tells: ``db_password``, ``apiToken``, ``PGPASSWORD``."""
    return _is_secret(name) or _SECRET_NAME.fullmatch(name) is not None


def _is_secret(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "") in NAMES

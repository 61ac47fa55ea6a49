"""Sessions of the pages: a signed cookie, and what a form must carry to prove that it came from a page of ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from typing import Any, Final

import jwt
from blake3 import blake3

from holdfast.access.person import Person
from holdfast.foundation import clock

COOKIE: Final = "holdfast-session"
_AUDIENCE: Final = "holdfast-session"
_PURPOSE: Final = "holdfast 2026 sessions of the gateway"
_MOST_REVOKED: Final = 100_000


class Sessions:
    """Makes and reads session cookies.

    Args:
        key: the installation's key; the key of sessions is derived from it.
        lasts: seconds.
    """

    def __init__(self, key: bytes, lasts: float) -> None:
        self._key = blake3(key, derive_key_context=_PURPOSE).digest()
        self.lasts = lasts
        self._lock = threading.Lock()
        self._ended: dict[str, float] = {}  # id of a session that was ended -> when it would have

    def make(self, person: Person) -> str:
        """A cookie for ``person``."""
        now = clock.now()
        claims = {
            "aud": _AUDIENCE, "sub": person.name, "groups": list(person.groups), "how": person.how, "owner": person.owner,
            "token": person.token, "iat": int(now), "exp": int(now + self.lasts), "jti": secrets.token_urlsafe(16),
        }  # fmt: skip
        return jwt.encode(claims, self._key, algorithm="HS256")

    def read(self, cookie: str) -> tuple[Person, str] | None:
        """The person and the session's id; None when the cookie is not ours, has expired, or was ended."""
        try:
            claims: dict[str, Any] = jwt.decode(
                cookie, self._key, algorithms=["HS256"], audience=_AUDIENCE, options={"require": ["exp", "sub", "jti"], "verify_iat": False}
            )
        except jwt.PyJWTError:
            return None
        id = str(claims["jti"])
        if id in self._ended:
            return None
        how = f"session of {claims.get('how') or 'somebody'}"
        person = Person(
            name=str(claims["sub"]), groups=tuple(claims.get("groups") or ()), how=how, owner=bool(claims.get("owner")),
            token=claims.get("token"),
        )  # fmt: skip
        return person, id

    def end(self, cookie: str) -> None:
        """Let a session count no longer, in this process; everywhere it ends by itself."""
        known = self.read(cookie)
        if known is not None:
            with self._lock:
                now = clock.now()
                if len(self._ended) > _MOST_REVOKED:
                    self._ended = {i: until for i, until in self._ended.items() if until > now}
                self._ended[known[1]] = now + self.lasts

    def form_token(self, place: str) -> str:
        """What forms carry; ``place`` is the session's id, or what else stands for the person."""
        return hmac.new(self._key, f"form {place}".encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, place: str, given: str) -> bool:
        """Whether ``given`` is that."""
        return hmac.compare_digest(self.form_token(place).encode(), given.encode("utf-8", "replace"))

"""Person: somebody who signed in, as far as the way they came vouches for them."""

from __future__ import annotations

import msgspec


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who asks for something."""

    name: str  # as the policy file writes it
    groups: tuple[str, ...] = ()  # what the way they came says of them; the policy file may add more
    how: str = ""  # how they were recognised: "token NAME", "session", "jwt", "proxy", "jupyter"
    owner: bool = False  # the one person of an installation without a policy file
    token: str | None = None  # id of the token behind it: a session ends with its token

"""From a request to a person: the ways to sign in, in order; the first that applies decides."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.access.person import Person
from holdfast.access.tokens import Tokens
from holdfast.config import Config
from holdfast.errors import OperatorError, RequestError
from holdfast.gateway.signin.jwts import JwtSignIn
from holdfast.gateway.signin.sessions import COOKIE, Sessions

_LONGEST_NAME: Final = 200


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a request, and whether the browser sent the proof by itself (then a form must prove where it came from)."""

    person: Person
    ambient: bool = False
    place: str = ""  # what the form token is bound to
    form_token: str | None = None  # the one to put in forms, when somebody else checks it (Jupyter)


class Identity:
    """The ways to sign in that are configured.

    Args:
        config: the settings.
        tokens: static tokens.
        sessions: of the pages.
        owner: ``(name, token)`` of an installation without a policy.

    Raises:
        OperatorError: HF202, HF268.
    """

    def __init__(self, config: Config, tokens: Tokens, sessions: Sessions, owner: tuple[str, str] | None) -> None:
        self.tokens, self.sessions, self._owner = tokens, sessions, owner
        self._jwt = JwtSignIn(config) if config.jwt_jwks else None
        self._jwt_header = config.jwt_header.lower()
        self._user_header, self._groups_header = config.proxy_user_header.lower(), config.proxy_groups_header.lower()
        self._proxies = [_network(n) for n in config.trusted_proxies]

    def recognise(self, headers: Mapping[str, str], cookies: Mapping[str, str], peer: str | None) -> Visit | None:
        """Who it is; None when the request brings nothing that says so. May block (keys are fetched).

        Args:
            headers: names in lower case.
            cookies: name -> value.
            peer: the address at the other end of the connection.

        Raises:
            RequestError: HF704: it brings something that is forged, expired or unknown.
            OperatorError: HF266.
        """
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() in ("bearer", "token") and given.strip():
            return Visit(person=self.by_token(given.strip()))
        if self._jwt is not None and self._jwt_header != "authorization" and self._trusts(peer) and headers.get(self._jwt_header):
            person = self._jwt.recognise(headers[self._jwt_header])
            return Visit(person=person, ambient=True, place=f"proxy {person.name}")
        if self._user_header and self._trusts(peer) and headers.get(self._user_header, "").strip():
            person = self._by_headers(headers)
            return Visit(person=person, ambient=True, place=f"proxy {person.name}")
        if COOKIE in cookies:
            return self._by_session(cookies[COOKIE])
        return None

    def by_token(self, text: str) -> Person:
        """Whose token (static, the owner's, or a JWT) ``text`` is.

        Raises:
            RequestError: HF704. OperatorError: HF266.
        """
        if self._owner is not None and hmac.compare_digest(text.encode("utf-8", "replace"), self._owner[1].encode()):
            return Person(name=self._owner[0], how="the first start's token", owner=True)
        person = self.tokens.recognise(text)
        if person is not None:
            return person
        if self._jwt is not None and text.count(".") == 2:
            return self._jwt.recognise(text)
        raise RequestError("HF704", "the token is not known, or has expired", cure="Get a new one: holdfast token make PERSON")

    def _by_session(self, cookie: str) -> Visit | None:
        known = self.sessions.read(cookie)
        if known is None:
            return None
        person, id = known
        if (person.token is not None and not self.tokens.holds(person.token)) or (person.owner and self._owner is None):
            return None  # what it was made with counts no longer
        return Visit(person=person, ambient=True, place=id)

    def _by_headers(self, headers: Mapping[str, str]) -> Person:
        name = headers[self._user_header].strip()
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise RequestError("HF704", "the proxy's header names nobody", cure="Look at the proxy's configuration.")
        groups = headers.get(self._groups_header, "") if self._groups_header else ""
        return Person(name=name, groups=tuple(g.strip() for g in groups.split(",") if g.strip()), how="proxy")

    def _trusts(self, peer: str | None) -> bool:
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise OperatorError("HF202", f"trusted_proxies: {error}", cure="Write addresses or networks: 127.0.0.1, 10.0.0.0/8.") from None

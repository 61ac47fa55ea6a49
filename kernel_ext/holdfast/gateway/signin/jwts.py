"""JSON Web Tokens of an identity provider, checked against its published keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt

from holdfast.access.person import Person
from holdfast.config import Config
from holdfast.errors import OperatorError, RequestError

#: Signatures whose key cannot also sign: with a shared secret, whoever can check could forge.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LEEWAY: Final = 30  # seconds by which two clocks may differ
_TIMEOUT: Final = 5  # seconds for fetching keys


class JwtSignIn:
    """Recognises people by a JWT.

    Args:
        config: ``jwt_jwks``, ``jwt_issuer``, ``jwt_audience``, ``jwt_user_claim``, ``jwt_groups_claim``.

    Raises:
        OperatorError: HF268, the keys cannot be read, or issuer or audience is missing.
    """

    def __init__(self, config: Config) -> None:
        if not config.jwt_jwks or not config.jwt_issuer or not config.jwt_audience:
            raise OperatorError("HF268", "sign-in by JWT needs jwt_jwks, jwt_issuer and jwt_audience", cure="Set all three, or none.")
        self._issuer, self._audience = config.jwt_issuer, config.jwt_audience
        self._user, self._groups = config.jwt_user_claim, config.jwt_groups_claim
        self._remote: jwt.PyJWKClient | None = None
        self._local: dict[str | None, jwt.PyJWK] = {}
        if config.jwt_jwks.startswith(("https://", "http://")):
            self._remote = jwt.PyJWKClient(config.jwt_jwks, cache_keys=True, lifespan=300, timeout=_TIMEOUT)
        else:
            self._local = _read_keys(Path(config.jwt_jwks))

    def recognise(self, text: str) -> Person:
        """Who ``text`` vouches for. Blocks while keys are fetched.

        Raises:
            RequestError: HF704, forged, expired, not for us, or without a name.
        """
        try:
            header = jwt.get_unverified_header(text)
            if header.get("alg") not in _ALGORITHMS:
                raise jwt.InvalidAlgorithmError(f"the algorithm {header.get('alg')!r} is not accepted")
            key = self._key(text, header.get("kid"))
            claims: dict[str, Any] = jwt.decode(
                text, key, algorithms=[header["alg"]], issuer=self._issuer, audience=self._audience, leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, UnicodeError) as error:
            raise RequestError("HF704", f"the JWT is refused: {error}", cure="Sign in again at the identity provider.") from None
        name = _claim(claims, self._user)
        if not isinstance(name, str) or not name.strip():
            raise RequestError("HF704", f"the JWT has no claim {self._user!r}", cure="Set jwt_user_claim to the claim that names people.")
        groups = _claim(claims, self._groups)
        listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        return Person(name=name.strip(), groups=tuple(g for g in listed if isinstance(g, str)), how="jwt")

    def _key(self, text: str, kid: str | None) -> jwt.PyJWK:
        if self._remote is not None:
            return self._remote.get_signing_key_from_jwt(text)
        if kid is None and len(self._local) == 1:
            return next(iter(self._local.values()))
        if kid not in self._local:
            raise jwt.InvalidKeyError("it is signed with a key that is not known")
        return self._local[kid]


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim, by its name or by a dotted path (``realm_access.roles``)."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _read_keys(path: Path) -> dict[str | None, jwt.PyJWK]:
    try:
        found = jwt.PyJWKSet.from_dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, jwt.PyJWTError) as error:
        raise OperatorError(
            "HF268", f"the keys cannot be read: {error}", cure="Set jwt_jwks to a JWKS file or URL.", file=str(path)
        ) from None
    return {key.key_id: key for key in found.keys}

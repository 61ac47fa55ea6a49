"""Whether a request comes from who it says: HMAC signatures and shared tokens, compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from holdfast.errors import RequestError


def refused(why: str, **where: object) -> RequestError:
    """HF720."""
    return RequestError("HF720", f"the sender did not prove itself: {why}", cure="Give sender and source the same secret.", **where)


def stale(age: float, window: float) -> RequestError:
    """HF721."""
    how = f"{age:.0f} s old" if age > 0 else f"{-age:.0f} s ahead"
    return RequestError(
        "HF721",
        f"the signed request is {how}, {window:.0f} s are allowed",
        cure="Check both clocks; else somebody sent an old request again.",
    )


def hmac_hex(secret: bytes, message: bytes, algorithm: str = "sha256") -> str:
    """The HMAC of ``message`` as lower-case hexadecimal digits."""
    return hmac.new(secret, message, getattr(hashlib, algorithm)).hexdigest()


def same(given: str, expected: str) -> bool:
    """Whether two texts are the same; takes as long whether they are or not."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def any_signature(given: Iterable[str], secrets: Iterable[bytes], message: bytes, algorithm: str = "sha256") -> bool:
    """Whether one of the signatures ``given`` is that of ``message`` under one of ``secrets`` (several while a secret is replaced)."""
    signatures = [one.strip().lower() for one in given if one.strip()]
    found = False
    for secret in secrets:
        expected = hmac_hex(secret, message, algorithm)
        for one in signatures:
            found |= same(one, expected)
    return found


def fresh(timestamp: str, now: float, window: float) -> None:
    """Raise ``RequestError`` HF721 unless ``timestamp`` (seconds since the epoch) lies within ``window`` seconds of ``now``."""
    try:
        at = float(timestamp)
    except ValueError:
        raise refused("the time of the signature is not a number") from None
    if not abs(now - at) <= window:
        raise stale(now - at, window)


def versioned(secret: bytes, timestamp: str, body: bytes) -> str:
    """The signature of a body and its time as Slack signs, and as our own webhooks do: ``v0=`` and the HMAC of ``v0:TIME:BODY``."""
    return f"v0={hmac_hex(secret, b'v0:' + timestamp.encode('utf-8', 'replace') + b':' + body)}"


def check_versioned(secret: bytes, timestamp: str, signature: str, body: bytes, now: float, window: float) -> None:
    """Raise ``RequestError`` HF720, or HF721 for one that is too old, unless ``signature`` is that of :func:`versioned`."""
    if not timestamp or not signature:
        raise refused("the request is not signed")
    if not same(signature, versioned(secret, timestamp, body)):
        raise refused("the signature is not that of this request")
    fresh(timestamp, now, window)


def token_given(headers: Mapping[str, str], tokens: Iterable[bytes], header: str | None = None) -> bool:
    """Whether a request carries one of ``tokens``: as ``Authorization: Bearer``, as the password of ``Basic``, or in ``header``."""
    given = [headers[header.lower()]] if header and header.lower() in headers else []
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given.append(rest.strip())
    elif scheme.lower() == "basic":
        try:
            given.append(base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2])
        except ValueError:
            pass
    found = False
    for token in tokens:
        for one in given:
            found |= hmac.compare_digest(one.encode("utf-8", "replace"), token)
    return found

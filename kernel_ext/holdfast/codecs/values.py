"""A value <-> the thing that an entry keeps of it.

An entry keeps a small map: ``{"v": value}`` for JSON types and bytes, readable by anybody; ``{"c": codec, "b": bytes, "m": mac}`` for
bytes of another codec; ``{"c": codec, "a": address, "n": size, "m": mac}`` when the bytes are a blob. The MAC binds bytes, or the
blob's address, to the codec: otherwise a response that the outside chose could be passed off as a pickle by whoever can
write to the journal without having the key.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from blake3 import blake3

from holdfast.codec import Blobs, Unsuited
from holdfast.codecs.native import Native
from holdfast.codecs.pickled import Pickled
from holdfast.errors import AuthorError, StoreError

INLINE: Final = 1024 * 1024  # bytes; above, a value goes to the blob store
LIMIT: Final = 64 * 1024 * 1024  # bytes, when the caller names no other limit

_native = Native()
_pickled = Pickled()
_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})


def encode(
    value: Any, *, blobs: Blobs, key: bytes, limit: int = LIMIT, redact: Callable[[Any], Any] | None = None, **where: str | None
) -> dict[str, Any]:
    """What an entry keeps of ``value``: a map for ``msgspec.msgpack.encode``.

    Args:
        value: anything.
        blobs: takes what is over 1 MiB; durable with the next append.
        key: the installation's.
        limit: bytes a stored value may have (setting ``max_value_bytes``).
        redact: takes secrets out first; what it returns is stored.
        where: ``execution``, ``step``, ``call`` ... for the error's text.

    Raises:
        AuthorError: HF165 it cannot be stored, HF166 it is larger than ``limit``.
        StoreError: the blob store failed.
    """
    if redact is not None:
        value = redact(value)
    codec = _native.name
    try:
        data = _native.dumps(value)
    except Unsuited:
        try:
            codec, data = _pickled.name, _pickled.dumps(value)
        except Unsuited as reason:
            raise AuthorError(
                "HF165",
                f"a value of type {type(value).__module__}.{type(value).__qualname__} cannot be stored: {reason}",
                cure="Return plain data from the call (text, numbers, lists, dicts, data frames), not a client, connection or lock.",
                **where,
            ) from reason
    if len(data) > limit:
        raise AuthorError(
            "HF166",
            f"a value has {len(data):,} bytes, at most {limit:,} are allowed",
            cure="Return less from the call (filter, aggregate, or write it to a file), or raise max_value_bytes.",
            **where,
        )
    if len(data) > INLINE:
        address = blobs.put(data)
        return {"c": codec, "a": address, "n": len(data), "m": _mac(key, codec, b"blob", address)}
    if codec == _native.name:
        return {"v": msgspec.Raw(data)}
    return {"c": codec, "b": data, "m": _mac(key, codec, b"inline", data)}


def decode(stored: Mapping[str, Any], *, blobs: Blobs, key: bytes, materialise: Callable[[str], object] | None = None) -> Any:
    """The value of what :func:`encode` made, before or after its way through the journal; a new object every time.

    Args:
        stored: the map.
        blobs: where large values lie.
        key: the installation's.
        materialise: see ``Pickled``.

    Raises:
        StoreError: HF511 not authentic, HF510 the blob is damaged.
        LookupFailedError: HF604 the blob is missing.
        AuthorError: HF167 the value's class is not defined, or its code fails.
    """
    if "v" in stored:
        value = stored["v"]
        if type(value) in _ATOMS:
            return value
        return _native.loads(value if isinstance(value, msgspec.Raw) else msgspec.msgpack.encode(value))
    codec, mac = stored.get("c"), stored.get("m")
    codec_known = codec in (_native.name, _pickled.name)
    if "a" in stored:
        part, content = b"blob", stored["a"]
    else:
        part, content = b"inline", stored.get("b")
    if (
        not codec_known
        or not isinstance(content, bytes)
        or not isinstance(mac, bytes)
        or not hmac.compare_digest(_mac(key, codec, part, content), mac)
    ):
        raise StoreError(
            "HF511",
            "a stored value is damaged or was tampered with",
            cure="Restore the journal from a backup, or run the step that made it again.",
        )
    data = blobs.get(content) if part == b"blob" else content
    if codec == _native.name:
        return _native.loads(data)
    try:
        return (_pickled if materialise is None else Pickled(materialise)).loads(data)
    except Exception as error:
        raise AuthorError(
            "HF167",
            f"a stored value cannot be made again: {type(error).__name__}: {error}",
            cure="Define its class before this cell (or install the package it came from), or return plain data from the call.",
        ) from error


def _mac(key: bytes, codec: Any, part: bytes, content: bytes) -> bytes:
    return blake3(b"holdfast value\0%b\0%b\0" % (str(codec).encode(), part), key=key).update(content).digest()

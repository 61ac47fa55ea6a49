"""Secret fields of a form: sealed before anything is written, opened only in the cell that asked.

A field is secret when its schema says ``"format": "password"`` or ``"writeOnly": true``. Sealing is AES-GCM with a key made of the
installation's, bound to the prompt: a sealed value copied to another prompt does not open.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from holdfast.errors import StoreError

SEALED = "$sealed"
MASK = "***"


def is_secret(schema: Any) -> bool:
    """Whether a schema marks its value as secret."""
    return isinstance(schema, Mapping) and (schema.get("format") == "password" or schema.get("writeOnly") is True)


def has_secrets(schema: Any) -> bool:
    """Whether anything in a schema is marked as secret."""
    if isinstance(schema, Mapping):
        return is_secret(schema) or any(has_secrets(part) for part in schema.values())
    return isinstance(schema, list) and any(has_secrets(part) for part in schema)


def seal(schema: Mapping[str, Any], value: Any, key: bytes, prompt: str) -> Any:
    """A copy of ``value`` with its secret fields sealed."""
    return change_secrets(schema, value, lambda secret: _sealed(secret, key, prompt))


def unseal(value: Any, key: bytes, prompt: str, wrap: Callable[[str, str], Any]) -> Any:
    """A copy of ``value`` with everything that is sealed opened; ``wrap(text, sealed)`` makes what a text becomes.

    Raises:
        StoreError: HF511, it was sealed with another key or for another prompt, or was changed since.
    """
    if isinstance(value, Mapping):
        if set(value) == {SEALED}:
            opened = open_sealed(str(value[SEALED]), key, prompt)
            return wrap(opened, str(value[SEALED])) if isinstance(opened, str) else opened
        return {name: unseal(item, key, prompt, wrap) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [unseal(item, key, prompt, wrap) for item in value]
    return value


def masked(value: Any) -> Any:
    """A copy of ``value`` for people: ``***`` where something is sealed."""
    if isinstance(value, Mapping):
        return MASK if set(value) == {SEALED} else {name: masked(item) for name, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list | tuple) else value


def open_sealed(sealed: str, key: bytes, prompt: str) -> Any:
    """What was sealed.

    Raises:
        StoreError: HF511.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        raw = base64.b64decode(sealed, validate=True)
        return json.loads(AESGCM(_key(key)).decrypt(raw[:12], raw[12:], prompt.encode()))
    except (ValueError, InvalidTag):
        cure = "restore the journal from a backup, or use the installation's own key"
        raise StoreError("HF511", "a sealed answer cannot be opened", cure=cure, prompt=prompt) from None


def _sealed(secret: Any, key: bytes, prompt: str) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if secret is None:
        return None
    nonce = os.urandom(12)
    return {SEALED: base64.b64encode(nonce + AESGCM(_key(key)).encrypt(nonce, json.dumps(secret).encode(), prompt.encode())).decode()}


def _key(key: bytes) -> bytes:
    return blake2b(digest_size=32, key=key, person=b"holdfast prompt").digest()


# ---- walking a value beside its schema


def change_secrets(schema: Any, value: Any, change: Callable[[Any], Any], root: Any = None, depth: int = 0) -> Any:
    """A copy of ``value`` with ``change`` made to each part that its schema marks as secret."""
    root = schema if root is None else root
    schema = dereferenced(schema, root)
    if not isinstance(schema, Mapping) or depth > 32:
        return value
    if is_secret(schema):
        return change(value)
    if isinstance(value, Mapping):
        properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
        value = {
            name: change_secrets(properties.get(name, rest), item, change, root, depth + 1) if name in properties or rest else item
            for name, item in value.items()
        }
    elif isinstance(value, list):
        value = [change_secrets(schema.get("items"), item, change, root, depth + 1) for item in value]
    for word in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(word) or ():
            if not (isinstance(value, Mapping) and set(value) == {SEALED}):
                value = change_secrets(branch, value, change, root, depth + 1)
    return value


def dereferenced(schema: Any, root: Any) -> Any:
    """What a local ``$ref`` leads to; a schema without one itself."""
    for _ in range(32):
        if not (isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str) and schema["$ref"].startswith("#")):
            return schema
        found = root
        for word in schema["$ref"][1:].split("/")[1:]:
            word = word.replace("~1", "/").replace("~0", "~")
            found = found.get(word) if isinstance(found, Mapping) else None
        schema = found
    return None

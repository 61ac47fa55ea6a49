"""Whether bytes are those that were stored; shared by all stores."""

from __future__ import annotations

import hmac

from blake3 import blake3
from typing_extensions import Buffer

from holdfast.errors import LookupFailedError, StoreError


def address_of(data: Buffer, key: bytes) -> bytes:
    """The address of a blob: a hash that only holders of the key can make."""
    return blake3(data, key=key).digest()


def check(address: bytes, data: Buffer, key: bytes) -> None:
    """Raise ``StoreError`` HF510 unless ``address`` is that of ``data``."""
    if not hmac.compare_digest(address_of(data, key), address):
        raise damaged(address, "its bytes are not those that were stored")


def damaged(address: bytes, why: str) -> StoreError:
    """HF510."""
    return StoreError(
        "HF510",
        f"blob {bytes(address).hex()[:16]} is damaged or was tampered with: {why}",
        cure="Restore the journal and its blobs from a backup, or run the step that made it again.",
    )


def missing(address: bytes) -> LookupFailedError:
    """HF604."""
    return LookupFailedError("HF604", f"no blob {bytes(address).hex()}", cure="The journal may be incomplete: restore it from a backup.")

"""What makes a call the same call: its key, and the idempotency key that goes with it."""

from __future__ import annotations

from hashlib import blake2b


def call_hash(scope: bytes, kind: str, fingerprint: bytes) -> str:
    """32 hex digits of scope (step, item, reset), kind and fingerprint; the n-th occurrence appends ``~n`` to make the key."""
    h = blake2b(scope, digest_size=16)
    h.update(kind.encode())
    h.update(b"\0")
    h.update(fingerprint)
    return h.hexdigest()


def scope_of(step: str, epoch: int, lane: str) -> bytes:
    """The first part of what is hashed. ``epoch`` is the seq of the last ``step.reset``: what was recorded before is another call."""
    return f"{step}\0{epoch}\0{lane}\0".encode()


def idempotency_key(execution: str, call: str) -> str:
    """A UUID (version 5 form) that is the same for every attempt at a call, in every process."""
    h = blake2b(f"{execution}\0{call}".encode(), digest_size=16, person=b"holdfast-idem").hexdigest()
    return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-a{h[17:20]}-{h[20:]}"

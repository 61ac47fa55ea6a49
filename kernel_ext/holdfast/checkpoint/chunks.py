"""Bytes of a component to parts and back. A part under 64 KiB travels inside the delta, a larger one in 1 MiB chunks in the blob
store; chunks whose digest is that of the previous version are not stored again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import xxhash

from holdfast.checkpoint.delta import Component, Part
from holdfast.journal.store import BlobStore

CHUNK = 1 << 20
INLINE = 64 << 10
_HELPERS = 2  # threads beside the caller's
_WORTH = 8  # chunks for which one more thread pays
_digest = xxhash.xxh3_128_digest


def flat(buffer: Any) -> memoryview:
    """A buffer as bytes, without copying."""
    view = buffer if isinstance(buffer, memoryview) else memoryview(buffer)
    if view.format == "B" and view.ndim == 1:
        return view
    if view.nbytes == 0:
        return memoryview(b"")
    return view.cast("B")


class Measured:
    """The buffers of one component with their digests, not stored yet.

    Args:
        stream: the pickle.
        buffers: its out-of-band buffers.
    """

    def __init__(self, stream: Any, buffers: Sequence[Any]) -> None:
        self.views = [flat(stream), *(flat(b) for b in buffers)]
        self.digests = [[_digest(view[o : o + CHUNK]) for o in range(0, len(view), CHUNK)] for view in self.views]

    def digest(self, units: Sequence[str]) -> bytes:
        """One digest for the component."""
        return _digest(b"".join([*(u.encode(errors="surrogatepass") + b"\0" for u in units), *(d for row in self.digests for d in row)]))

    def store(self, blobs: BlobStore, previous: Component | None) -> list[Part]:
        """Put what the previous version does not have; returns the parts."""
        known: dict[bytes, bytes] = {}
        if previous is not None:
            for part in previous.parts:
                known.update(zip(part.digests, part.addresses, strict=False))
        parts = []
        for view, digests in zip(self.views, self.digests, strict=True):
            if len(view) <= INLINE:
                parts.append(Part(len(view), view.readonly, bytes(view), digests))
                continue
            new = {d: view[n * CHUNK : (n + 1) * CHUNK] for n, d in enumerate(digests) if d not in known}
            known.update(_put_all(blobs, new))
            parts.append(Part(len(view), view.readonly, b"", digests, [known[d] for d in digests]))
        return parts


def _put_all(blobs: BlobStore, chunks: dict[bytes, memoryview]) -> dict[bytes, bytes]:
    """Store chunks; several at a time, because hashing one and writing another can go on together."""
    found: dict[bytes, bytes] = {}
    failures: list[BaseException] = []
    work = iter(list(chunks.items()))

    def run() -> None:
        try:
            for digest, chunk in work:
                found[digest] = blobs.put(chunk)
        except BaseException as error:  # handed to the caller below
            failures.append(error)

    helpers = [threading.Thread(target=run, name="holdfast-checkpoint") for _ in range(min(_HELPERS, len(chunks) // _WORTH))]
    for helper in helpers:
        helper.start()
    run()
    for helper in helpers:
        helper.join()
    if failures:
        raise failures[0]
    return found


def load(blobs: BlobStore, part: Part, first: bool) -> Any:
    """The bytes of a part; all but the pickle itself are writable unless they were not."""
    if not part.addresses:
        if first or part.readonly:
            return part.inline
        return bytearray(part.inline)
    sizes = [min(CHUNK, part.size - n * CHUNK) for n in range(len(part.addresses))]
    view = blobs.map(part.addresses, sizes)
    return view.toreadonly() if part.readonly and not first else view

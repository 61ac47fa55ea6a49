"""What makes a stream tamper-evident: each line carries a keyed digest over the one before and itself."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

import msgspec
from blake3 import blake3

from holdfast.errors import StoreError
from holdfast.journal.streams import StreamStore
from holdfast.model.stream import Line

_PURPOSE: Final = "holdfast 2026 chain of a stream"
_encode = msgspec.msgpack.Encoder().encode
_PAGE: Final = 1000


def chain_key(key: bytes) -> bytes:
    """The key of chains, from the installation's; another use of that one can never make a digest that fits here."""
    return blake3(key, derive_key_context=_PURPOSE).digest()


def digest(before: bytes, line: Line, key: bytes) -> bytes:
    """The digest that ``line`` must carry after a line with the digest ``before`` (empty for the first).

    Args:
        key: as of :func:`chain_key`.
    """
    content = (before, line.stream, line.seq, line.at, line.kind, line.key, line.once, line.actor, line.body)
    return blake3(_encode(content), key=key).digest()


def link(before: bytes, lines: Sequence[Line], key: bytes) -> list[Line]:
    """``lines`` with their digests, to follow a line with the digest ``before``."""
    linked = []
    for line in lines:
        before = digest(before, line, key)
        linked.append(msgspec.structs.replace(line, digest=before))
    return linked


class Verified(msgspec.Struct, frozen=True):
    """A stream that is as it was written: its last seq and the digest it has reached.

    Kept outside the journal, the pair is proof against what no chain can show by itself: that its end was cut off."""

    last: int
    digest: bytes


def verify(streams: StreamStore, stream: str, key: bytes, *, known: Verified | None = None) -> Verified:
    """Look at every line of ``stream``.

    Args:
        key: the installation's key.
        known: an earlier result that was kept elsewhere; the stream must still contain it.

    Raises:
        StoreError: HF512, a line was changed, removed, added by a stranger or put elsewhere; ``where`` says which is the first.
    """
    secret = chain_key(key)
    last, reached = 0, b""
    while page := streams.lines(stream, after=last, limit=_PAGE):
        for line in page:
            if line.seq != last + 1:
                raise _altered(stream, last + 1, "the line is missing")
            reached_now = digest(reached, line, secret)
            if not hmac.compare_digest(reached_now, line.digest):
                raise _altered(stream, line.seq, "the line, or its place after the one before, is not what was written")
            last, reached = line.seq, reached_now
            if known is not None and known.last == last and not hmac.compare_digest(known.digest, reached):
                raise _altered(stream, last, "the stream up to here is another than the one known")
    if known is not None and known.last > last:
        raise _altered(stream, last + 1, f"the end is missing: {known.last} lines are known")
    recorded, end = streams.end(stream)
    if recorded < last or (recorded == last and not hmac.compare_digest(end, reached)):
        raise _altered(stream, last, "the journal's own note of the end disagrees")
    if recorded > last and not streams.lines(stream, after=last, limit=1):  # else somebody added meanwhile
        raise _altered(stream, last + 1, f"the end is missing: {recorded} lines were written")
    return Verified(last, reached)


def _altered(stream: str, seq: int, why: str) -> StoreError:
    return StoreError(
        "HF512",
        f"the record was altered: {why}",
        cure="Find out who could write to the journal; a backup holds the lines as they were.",
        stream=stream,
        line=seq,
    )

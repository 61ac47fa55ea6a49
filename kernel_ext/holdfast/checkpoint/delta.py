"""The delta of one cell: what it set, deleted and what must be run again. Small enough to travel in a journal entry."""

from __future__ import annotations

import sys

import msgspec
import zstandard

from holdfast.errors import AuthorError

FORMAT = 1
_PLAIN, _PACKED = b"\x00", b"\x01"


class Part(msgspec.Struct, array_like=True):
    """One stretch of bytes: the pickle itself or a buffer of it. Inline, or in 1 MiB chunks in the blob store."""

    size: int
    readonly: bool = False
    inline: bytes = b""
    digests: list[bytes] = []  # xxh3-128 per chunk: tells cheaply what changed
    addresses: list[bytes] = []  # of the chunks, when not inline


class Hole(msgspec.Struct, array_like=True):
    """Something that no bytes can hold."""

    type: str
    why: str


class Component(msgspec.Struct, array_like=True):
    """Units that share mutable objects, pickled together in the order of ``units``."""

    units: list[str]
    parts: list[Part]
    digest: bytes
    classes: list[str] = []  # tokens of the user classes it needs
    mentions: list[str] = []  # names that its code may look up in the namespace
    holes: list[Hole] = []
    cells: list[str] = []  # with holes: the cells to run again, in order
    escapes: bool = False  # its code may reach anything
    stores: list[str] = []  # attributes that its code sets

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


class Delta(msgspec.Struct, array_like=True):
    """One cell's delta."""

    format: int
    python: str
    cell: str
    components: list[Component]
    deleted: list[str]
    base: dict[str, bytes]  # unit -> digest of the version that this cell changed; tells apart a fork from a conflict
    bound_classes: dict[str, str]  # variable -> token of the class it is bound to
    reached: list[str]  # units that this cell could touch; ["*"] for all


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Delta)
_packer = zstandard.ZstdCompressor(level=1)
_unpacker = zstandard.ZstdDecompressor()


def python_version() -> str:
    """The version that the bytes depend on: code objects and pickles of one minor version do not suit another."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def encode(delta: Delta) -> bytes:
    """Delta to bytes, compressed when that pays."""
    raw = _encoder.encode(delta)
    if len(raw) > 200:
        packed = _packer.compress(raw)
        if len(packed) < 0.9 * len(raw):
            return _PACKED + packed
    return _PLAIN + raw


def decode(data: bytes) -> Delta:
    """Bytes to delta.

    Raises:
        AuthorError: HF135, the bytes are no delta or come from another Python version or a newer Holdfast.
    """
    try:
        raw = _unpacker.decompress(data[1:]) if data[:1] == _PACKED else data[1:]
        delta = _decoder.decode(raw)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise AuthorError(
            "HF135", f"a checkpoint cannot be read: {error}", cure="run the step again: holdfast rerun ID --from STEP"
        ) from error
    if delta.format != FORMAT or delta.python != python_version():
        raise AuthorError(
            "HF135",
            f"a checkpoint of Python {delta.python} (format {delta.format}); this is Python {python_version()} (format {FORMAT})",
            cure="resume with the Python version that the execution was started with, or run its steps again",
            cell=delta.cell,
        )
    return delta

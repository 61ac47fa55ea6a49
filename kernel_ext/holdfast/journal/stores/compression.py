"""How a blob's bytes are kept: as they are, or compressed when a look at the first 16 KiB says that it pays."""

from __future__ import annotations

import threading
from typing import Any, Final

import lz4.block
import zstandard

RAW: Final = 0
ZSTD: Final = 1
LZ4: Final = 2

_PROBE: Final = 16 * 1024
_ZSTD_UP_TO: Final = 256 * 1024  # above, lz4: ten times faster to write, and as fast as the disk to read
_SMALLEST: Final = 128
_local = threading.local()  # zstandard's contexts are not for several threads at once


def pack(data: memoryview, *, compress: bool) -> tuple[int, Any]:
    """``(encoding, bytes to store)``."""
    size = data.nbytes
    if not compress or size < _SMALLEST:
        return RAW, data
    if size > 4 * _PROBE and len(lz4.block.compress(data[:_PROBE], store_size=False)) > 0.9 * _PROBE:
        return RAW, data
    if size <= _ZSTD_UP_TO:
        if not hasattr(_local, "compressor"):
            _local.compressor = zstandard.ZstdCompressor(level=1)
        encoding, packed = ZSTD, _local.compressor.compress(data)
    else:
        encoding, packed = LZ4, lz4.block.compress(data, store_size=False)
    return (encoding, packed) if len(packed) < 0.9 * size else (RAW, data)


def unpack(encoding: int, stored: Any, size: int) -> Any:
    """The bytes that were packed.

    Raises:
        ValueError: damaged.
    """
    if encoding == RAW:
        return stored
    try:
        if encoding == ZSTD:
            return zstandard.ZstdDecompressor().decompress(stored, max_output_size=size)
        if encoding == LZ4:
            return lz4.block.decompress(stored, uncompressed_size=size)
    except (zstandard.ZstdError, lz4.block.LZ4BlockError) as error:
        raise ValueError(str(error)) from error
    raise ValueError(f"unknown encoding {encoding}")

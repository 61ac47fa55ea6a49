"""Values to bytes and back: what a call returned, what it raised."""

from holdfast.codecs.failures import decode_error, encode_error
from holdfast.codecs.values import decode, encode

__all__ = ["decode", "decode_error", "encode", "encode_error"]

"""The installation's key: 32 random bytes that make every blob's address a MAC. Whoever has it can make a journal say anything,
so its file is for its owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from blake3 import blake3

from holdfast.errors import OperatorError

KEY_BYTES: Final = 32
_PURPOSE: Final = b"holdfast: fingerprint of the installation key"


def fingerprint(key: bytes) -> bytes:
    """What a journal keeps to recognise its key (16 bytes); tells nothing about the key."""
    return blake3(_PURPOSE, key=key).digest(length=16)


def load_key(path: Path) -> bytes | None:
    """The key in ``path``; None when there is no such file.

    Raises:
        OperatorError: HF226 unreadable or not a key.
    """
    try:
        text = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperatorError(
            "HF226", f"the installation key cannot be read: {error}", file=str(path), cure="Give the file to this user."
        ) from error
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise OperatorError(
            "HF226", "this is not an installation key (64 hexadecimal digits)", file=str(path), cure="Restore it from a backup."
        )
    return key


def make_key(path: Path) -> bytes:
    """Write a new key, readable by its owner only; when another process was faster, its key is returned.

    Raises:
        OperatorError: HF226.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, secrets.token_hex(KEY_BYTES).encode() + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(temporary, path)  # unlike rename, never replaces another's key
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OperatorError(
            "HF226", f"the installation key cannot be written: {error}", file=str(path), cure="Give the folder to this user."
        ) from error
    key = load_key(path)
    if key is None:
        raise OperatorError("HF226", "the installation key vanished while it was made", file=str(path), cure="Try again.")
    return key

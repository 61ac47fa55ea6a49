"""Static tokens: long random words for programs and people; the file holds their digests only."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from pathlib import Path
from typing import Final

import msgspec

from holdfast.access.person import Person
from holdfast.errors import OperatorError
from holdfast.foundation import clock
from holdfast.foundation.rereading import Reread

_SHAPE: Final = re.compile(r"hf_([a-z2-9]{8})_([A-Za-z0-9_-]{43})")
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token as the file has it. 256 random bits need no slow digest: there is nothing to guess."""

    id: str
    person: str
    sha256: str  # of the whole token, hexadecimal
    label: str = ""
    groups: tuple[str, ...] = ()
    created_at: float = 0.0  # seconds since the epoch
    expires_at: float | None = None


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    tokens: list[Token] = []


class Tokens:
    """The tokens of a file, read again when it changes.

    Args:
        path: of the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Reread(path, _read)

    def all(self) -> list[Token]:
        """All, expired ones too.

        Raises:
            OperatorError: HF266, the file cannot be used.
        """
        return list(self._current().values())

    def recognise(self, text: str) -> Person | None:
        """Whose token ``text`` is; None when it is nobody's, or has expired.

        Raises:
            OperatorError: HF266.
        """
        shape = _SHAPE.fullmatch(text)
        token = self._current().get(shape[1]) if shape else None
        if token is None or not hmac.compare_digest(token.sha256, _digest(text)) or _expired(token):
            return None
        return Person(name=token.person, groups=token.groups, how=f"token {token.label or token.id}", token=token.id)

    def holds(self, id: str) -> bool:
        """Whether the token ``id`` still counts: a session made with it ends with it."""
        token = self._current().get(id)
        return token is not None and not _expired(token)

    def make(self, person: str, *, label: str = "", groups: tuple[str, ...] = (), lasts: float | None = None) -> str:
        """A new token; its text is returned and kept nowhere.

        Args:
            person: whose.
            label: what it is for.
            groups: vouched for by the token.
            lasts: seconds; None: until it is revoked.

        Raises:
            OperatorError: HF266.
        """
        id = "".join(secrets.choice(_LETTERS) for _ in range(8))
        text = f"hf_{id}_{secrets.token_urlsafe(32)}"
        now = clock.now()
        token = Token(
            id=id, person=person, sha256=_digest(text), label=label, groups=groups, created_at=now,
            expires_at=None if lasts is None else now + lasts,
        )  # fmt: skip
        self._write([*self.all(), token])
        return text

    def revoke(self, id: str) -> bool:
        """Take a token back; whether there was one.

        Raises:
            OperatorError: HF266.
        """
        before = self.all()
        left = [t for t in before if t.id != id]
        if len(left) != len(before):
            self._write(left)
        return len(left) != len(before)

    def _current(self) -> dict[str, Token]:
        try:
            return self._file.current()
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise OperatorError(
                "HF266",
                f"the tokens file cannot be used: {error}",
                cure="Restore it, or delete it and make new tokens.",
                file=str(self.path),
            ) from None

    def _write(self, tokens: list[Token]) -> None:
        write_private(self.path, json.dumps(msgspec.to_builtins(_File(tokens=tokens)), indent=1) + "\n")


def _read(path: Path) -> dict[str, Token]:
    return {t.id: t for t in msgspec.json.decode(path.read_bytes(), type=_File).tokens}


def write_private(path: Path, text: str) -> None:
    """Put ``text`` into ``path``, whole or not at all, readable by its owner only.

    Raises:
        OperatorError: HF266.
    """
    import os

    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OperatorError(
            "HF266", f"the file cannot be written: {error.strerror}", cure="Give the folder to this user.", file=str(path)
        ) from None


def owner_token(path: Path) -> str:
    """The token of an installation without policy and tokens: made at the first start, kept in a file that only its owner can read.

    Raises:
        OperatorError: HF266.
    """
    try:
        text = path.read_text("utf-8").strip()
        if len(text) >= 32 and not path.stat().st_mode & 0o077:
            return text
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise OperatorError("HF266", f"the token cannot be read: {error}", cure="Delete it; a new one is made.", file=str(path)) from None
    text = secrets.token_urlsafe(32)
    write_private(path, text + "\n")
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _expired(token: Token) -> bool:
    return token.expires_at is not None and token.expires_at <= clock.now()

"""Signed answer links: a text that lets one person (or one program) answer one prompt until a moment. It counts once, as any answer does:
the first end of the prompt wins, and one person votes once."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

import msgspec

from holdfast.errors import RequestError
from holdfast.events.signatures import refused
from holdfast.foundation import clock

_KEEPS: Final = 7 * 86_400.0  # seconds, where a prompt has no time limit of its own
_PERSON: Final = b"holdfast answer"
_SIZE: Final = 24


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """What a link says."""

    prompt: str
    channel: str
    person: str | None
    until: float  # seconds since the epoch


def make(key: bytes, prompt: str, channel: str, person: str | None, *, asked_at: float, due_at: float | None) -> str:
    """The same text for the same prompt, channel and person, in every process."""
    ticket = Ticket(prompt, channel, person, min(asked_at + _KEEPS, due_at) if due_at is not None else asked_at + _KEEPS)
    body = msgspec.msgpack.encode(ticket)
    return base64.urlsafe_b64encode(_mac(key, body) + body).decode().rstrip("=")


def read(key: bytes, text: str, channel: str, now: float) -> Ticket:
    """What a link says, when this installation made it for this channel.

    Raises:
        RequestError: HF720 it did not, HF721 its time is over.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        body = raw[_SIZE:]
        if not hmac.compare_digest(raw[:_SIZE], _mac(key, body)):
            raise ValueError
        ticket = msgspec.msgpack.decode(body, type=Ticket)
    except (ValueError, msgspec.MsgspecError):
        raise refused("the link was not made here, or was changed on its way") from None
    if ticket.channel != channel:
        raise refused("the link belongs to another channel")
    if now > ticket.until:
        cure = "Answer in the inbox, or with `holdfast answer`."
        raise RequestError("HF721", f"the link was good until {clock.iso(ticket.until)}", cure=cure, prompt=ticket.prompt)
    return ticket


def _mac(key: bytes, body: bytes) -> bytes:
    derived = hashlib.blake2b(digest_size=32, key=key, person=_PERSON).digest()
    return hmac.new(derived, body, hashlib.sha256).digest()[:_SIZE]

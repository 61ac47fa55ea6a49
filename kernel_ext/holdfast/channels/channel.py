"""The contract of a channel: what carries a question to people and brings their answers back. Built-ins are beside this file; other
packages announce theirs under the entry points ``holdfast.channels`` (a function like :data:`Maker`). The suite that every channel
passes is ``holdfast.testing.contracts.channel``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec

from holdfast.errors import HoldfastError
from holdfast.model.prompt import Prompt

# ---- going out


class What(StrEnum):
    """Why something is sent."""

    QUESTION = "question"
    REMINDER = "reminder"
    ESCALATION = "escalation"  # the question, to further people, because nobody answered
    UPDATE = "update"  # how it stands: a vote, an answer given elsewhere, withdrawn, out of time


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a channel sends to."""

    place: str  # the channel's own word: a Slack id, a mailbox; "" where there is only one
    person: str | None = None  # the one person who reads there; None: several may


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be asked, as the question names them and as the policy file knows them."""

    groups: Mapping[str, tuple[str, ...]] = {}  # named groups -> their people
    people: tuple[str, ...] = ()  # named one by one
    about: Mapping[str, Mapping[str, Any]] = {}  # person -> what the policy file says: email, slack ...

    @property
    def anybody(self) -> bool:
        """Whether nobody in particular is named."""
        return not self.groups and not self.people

    def spread(self, key: str, *, own: str | None, groups: Mapping[str, str]) -> tuple[list[Address], list[str]]:
        """Where to reach them, and a sentence for each who cannot be reached.

        Args:
            key: of the policy file's people, under which a person's place stands.
            own: the place for a question to nobody in particular.
            groups: groups that have a place of their own.
        """
        found: dict[str, Address] = {}
        without = []
        if self.anybody:
            if own is None:
                return [], ["nobody is named, and the channel has no place of its own"]
            found[own] = Address(place=own)
        named = list(self.people)
        for group, members in self.groups.items():
            if group in groups:
                found[groups[group]] = Address(place=groups[group])
            elif members:
                named += members
            else:
                without.append(f"the policy file has nobody in the group {group}")
        for person in dict.fromkeys(named):
            place = (self.about.get(person) or {}).get(key)
            if place:
                found.setdefault(str(place), Address(place=str(place), person=person))
            else:
                without.append(f"the policy file does not say {key} of {person}")
        return list(found.values()), without


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the far side said of something that was sent: kept, and handed back for reminders and updates. JSON types."""

    said: dict[str, Any] = {}


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one address."""

    id: str  # the same whenever it is tried: what the far side can recognise it by
    what: What
    prompt: Prompt  # as it stands now; nothing in it is secret
    runbook: str
    address: Address
    asked_at: float  # when it was due, seconds since the epoch
    number: int = 1  # of the reminder
    again: bool = False  # it may have arrived before: a channel that can look there looks first
    page: str | None = None  # where the question can be answered after signing in
    link: str | None = None  # where that one person can answer it without; a secret of theirs
    callback: str | None = None  # where a program sends the answer to
    token: str = ""  # what it must bring along


class TryLater(Exception):
    """It could not be sent now.

    Args:
        why: for the record; holds no secret.
        after: seconds to wait at least; None: the dispatcher's own back-off.
        all_of_it: everything of this channel waits, not this sending alone.
    """

    def __init__(self, why: str, *, after: float | None = None, all_of_it: bool = False) -> None:
        super().__init__(why)
        self.why, self.after, self.all_of_it = why, after, all_of_it


class Refused(Exception):
    """The far side will not take this one, however often it is tried."""


# ---- coming back


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """A request from the far side. ``headers``: names in lower case."""

    body: bytes = b""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said, proved to come from the channel. Who they are is decided by the policy file."""

    prompt: str  # id
    person: str | None = None  # the channel itself vouches for who it is (a link made out to them)
    known_as: tuple[str, str] | None = None  # else: a key of the policy file's people, and its value there
    wants: bool = False  # only to see the question in full (a form); nothing is answered yet
    verdict: str | None = None
    value: Any = None
    why: str | None = None
    typed: str | None = None
    context: Mapping[str, Any] = {}  # the channel's own, for its reply
    beside: Callable[[Prompt], Heard] | None = None  # the same in full, where it is understood only beside the question


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP response to a callback."""

    status: int = 200
    content: bytes = b""
    type: str = "application/json"
    then: Callable[[], object] | None = None  # done after the response was sent; failures are only logged


class Channel(Protocol):
    """One configured way to people. Called from several threads. Network calls end within ten seconds or so."""

    name: str  # as ``via=`` writes it: ``slack``, ``webhook:teams``
    needs_url: bool  # it sends links, and so must know where the gateway is

    def addresses(self, audience: Audience) -> tuple[list[Address], list[str]]:
        """Where to reach them, and a sentence for each who cannot be reached. For ``audience.anybody``: the channel's own place, if any."""

    def deliver(self, sending: Sending) -> Receipt:
        """Put the question. Raises :class:`TryLater`, :class:`Refused`."""

    def remind(self, sending: Sending, question: Receipt) -> Receipt:
        """Remind of it, near the message ``question`` where that can be. Raises as :meth:`deliver`."""

    def escalate(self, sending: Sending) -> Receipt:
        """Put the question to further people. Raises as :meth:`deliver`."""

    def update(self, sending: Sending, question: Receipt) -> Receipt:
        """Make the message ``question`` say how the prompt stands now; once it has ended, nothing there may look as if it could still be
        answered. Raises as :meth:`deliver`."""

    def verify(self, callback: Callback, now: float) -> Heard:
        """Who says what, at ``now`` (seconds since the epoch).

        Raises:
            RequestError: HF720 not proved, HF721 too old, HF722 not understood.
        """

    def show(self, heard: Heard, prompt: Prompt) -> Reply:
        """For ``heard.wants``: the question in full, to somebody who may answer it."""

    def tell(self, heard: Heard, prompt: Prompt | None, error: HoldfastError | None) -> Reply:
        """Say what became of the answer: ``prompt`` as it stands, or ``error`` (raised again where the far side reads HTTP statuses)."""

    def probe(self) -> str:
        """What the far side says of itself, asked now. Raises :class:`TryLater`, :class:`Refused`."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel is made from."""

    name: str
    table: Mapping[str, Any]  # its table of the channels file
    secret: Callable[[str], str]  # a reference (env:NAME, file:PATH) -> the secret; ValueError
    folder: Path  # of the file
    key: bytes  # the installation's: what links and tokens are signed with


#: Makes a channel. Raises ``ValueError`` with a sentence when the table cannot be used.
Maker = Callable[[Given], Channel]

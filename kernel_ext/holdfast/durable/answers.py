"""What a cell gets from people: yes or no, an approval with its votes, a secret that keeps itself out of the record."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from holdfast.foundation import clock
from holdfast.model.prompt import YES


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What ``confirm`` returns: true when somebody consented. Equal to ``True``, ``False``, ``"yes"`` and ``"no"`` accordingly."""

    answer: str  # "yes" | "no"
    who: str | None  # None: nobody answered in time
    at: datetime.datetime  # aware, UTC
    via: str | None = None
    why: str | None = None
    timed_out: bool = False  # it is what ``on_timeout`` says
    prompt: str = ""  # id

    def __bool__(self) -> bool:
        return self.answer == YES

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bool):
            return bool(self) is other
        if isinstance(other, str):
            return self.answer == other
        return type(other) is type(self) and msgspec.structs.astuple(self) == msgspec.structs.astuple(other)

    def __hash__(self) -> int:
        return hash((type(self), self.prompt, self.answer, self.at))

    def __str__(self) -> str:
        return self.answer

    def __repr__(self) -> str:
        return told(self.answer, self.who, self.at, self.via, self.why)


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """One vote of an approval."""

    who: str
    answer: str
    at: datetime.datetime  # aware, UTC
    via: str
    why: str | None = None


class Ballot(Confirmation, frozen=True, kw_only=True, eq=False):
    """What ``approve`` returns: who said what, when, by which way and why. True when enough people consented."""

    votes: tuple[Consent, ...] = ()

    @property
    def approved_by(self) -> tuple[str, ...]:
        """The people who consented."""
        return tuple(vote.who for vote in self.votes if vote.answer == YES)

    def __repr__(self) -> str:
        if not self.votes:
            return Confirmation.__repr__(self)
        return "; ".join(told(v.answer, v.who, v.at, v.via, v.why) for v in self.votes)


class Secret(str):
    """A text that a person gave in a secret field. It is an ordinary text for libraries; it shows as ``***``, and a checkpoint keeps it
    sealed. A text that is made of it is an ordinary one: make it where it is used."""

    _sealed: tuple[str, str] = ("", "")  # prompt, sealed text

    def __new__(cls, text: str = "") -> Secret:
        return super().__new__(cls, text)

    @classmethod
    def of(cls, text: str, prompt: str, sealed: str) -> Secret:
        """``text``, which ``sealed`` keeps for ``prompt``."""
        made = cls(text)
        made._sealed = (prompt, sealed)
        return made

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return self

    def strip(self, chars: str | None = None, /) -> str:
        """Itself where there is nothing to be taken off: what a client keeps of it is still a secret."""
        stripped = super().strip(chars)
        return self if len(stripped) == len(self) else stripped

    def __reduce_ex__(self, protocol: Any) -> Any:
        return unsealed, self._sealed


def unsealed(prompt: str, sealed: str) -> Secret:
    """A secret brought back from a checkpoint.

    Raises:
        StoreError: HF511. RuntimeError: outside of a Holdfast kernel there is no key.
    """
    from holdfast.durable import current
    from holdfast.prompts.sealing import open_sealed

    recorder = current.recorder()
    if recorder is None:
        raise RuntimeError("a sealed secret opens in a Holdfast kernel only")
    text = str(open_sealed(sealed, recorder.writer.store.key, prompt))
    recorder.redactor.register(text)
    return Secret.of(text, prompt, sealed)


def told(answer: str, who: str | None, at: datetime.datetime, via: str | None, why: str | None) -> str:
    """One answer as a line."""
    by = f"{who} via {via}" if who else "nobody in time"
    return f"{answer}, by {by} at {clock.iso(at.timestamp())}" + (f": {why}" if why else "")

"""Answers that come through a channel: from what the channel proves to somebody of the policy, and from there as any other answer."""

from __future__ import annotations

from holdfast.access.audit import REFUSED
from holdfast.access.person import Person
from holdfast.channels.channel import Callback, Channel, Heard, Reply
from holdfast.errors import HoldfastError, PromptError, RequestError
from holdfast.foundation import clock
from holdfast.gateway import asking
from holdfast.gateway.asker import Asker
from holdfast.gateway.hall import Hall
from holdfast.gateway.signin.identity import Visit
from holdfast.gateway.texts import clean_text, clean_value
from holdfast.model.prompt import PromptState
from holdfast.prompts.answering import late


def hear(hall: Hall, channel: Channel, callback: Callback, address: str) -> Reply:
    """One callback. What is forged, stale, not understood, or by nobody of the policy is refused and written down.

    Args:
        address: where the request came from.

    Raises:
        RequestError: HF705, HF720 to HF722. Further errors where the channel's far side reads HTTP statuses. StoreError.
    """
    try:
        heard = _clean(channel.verify(callback, clock.now()))
    except RequestError as error:
        refuse(hall, channel.name, error, address)
        raise
    try:
        asker = asker_of(hall, channel, heard, address)
        if heard.beside is not None:
            heard = _clean(heard.beside(asking.prompt(asker, heard.prompt).prompt))
        if heard.wants:
            found = asking.prompt(asker, heard.prompt)
            barred = _barred(found)
            if barred is not None:
                refuse(hall, channel.name, barred, address, person=asker.person, about=heard.prompt)
                raise barred
            return channel.show(heard, found.prompt)
        done = asking.answer(asker, heard.prompt, heard.verdict, value=heard.value, why=heard.why, typed=heard.typed)
    except HoldfastError as error:
        return channel.tell(heard, None, error)
    return channel.tell(heard, done.prompt, None)


def asker_of(hall: Hall, channel: Channel, heard: Heard, address: str) -> Asker:
    """The person of the policy who speaks.

    Raises:
        RequestError: HF705, nobody. OperatorError: HF265.
    """
    people = hall.policy.people
    name = heard.person
    how = f"{channel.name} link"
    if name is None and heard.known_as is not None:
        key, value = heard.known_as
        how = f"{channel.name} {value}"[:200]
        name = value if key == "name" else people.by(key, value)
    if not name or not people.knows(name):
        said = heard.person or (heard.known_as or ("", ""))[1] or "nobody"
        error = RequestError(
            "HF705", f"{said[:200]} is nobody whom the policy file knows",
            cure="Add them to [people] of the policy file (with email or slack), or to a group.",
        )  # fmt: skip
        refuse(hall, channel.name, error, address, about=heard.prompt)
        raise error
    person = Person(name=name, how=how)
    return Asker(hall, Visit(person=person), via=channel.name, address=address)


def refuse(hall: Hall, channel: str, error: HoldfastError, address: str, *, person: Person | None = None, about: str | None = None) -> None:
    """Write down that something which came through a channel was not taken."""
    hall.audit.write(REFUSED, person, "answer", about, via=channel, address=address, code=error.code, detail=error.what)


def _barred(found: asking.Shown) -> PromptError | None:
    """Why somebody need not see the question in full."""
    if found.prompt.state != PromptState.OPEN:
        return late(found.prompt)
    if found.refusal is not None:
        return PromptError("HF406", found.refusal, cure="somebody else must answer", prompt=found.prompt.id)
    return None


def _clean(heard: Heard) -> Heard:
    """What no store could take is not understood."""
    try:
        for text in (heard.prompt, heard.person, heard.verdict, heard.why, heard.typed, *(heard.known_as or ())):
            clean_text(text or "")
        clean_value(heard.value)
    except ValueError as error:
        raise RequestError("HF722", f"the answer {error}", cure="Send it again without.") from None
    return heard

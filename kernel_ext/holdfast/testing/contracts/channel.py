"""What every ``holdfast.channels.channel.Channel`` must do. An implementation subclasses and overrides the fixture ``example``."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from holdfast.channels.channel import Address, Audience, Callback, Channel, Receipt, Sending, What
from holdfast.channels.links import make
from holdfast.errors import PromptError, RequestError
from holdfast.foundation import clock
from holdfast.model.prompt import Prompt, PromptKind, PromptState, Question

KEY = b"k" * 32


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A channel connected to a far side (real or a stand-in), and a look at that far side."""

    channel: Channel  # made with the installation's key :data:`KEY`
    person: Address  # where alice is reached
    arrived: Callable[[str], list[str]]  # prompt id -> the text of each message that stands there about it now
    answer: Callable[[Sending, float], Callback]  # alice's yes to a question that was sent, proved at that time (seconds since the epoch)
    forge: Callable[[Callback], list[Callback]]  # the same, not proved: altered, signed by another, not signed
    stale: Callable[[Sending], Callback]  # the same, proved too long ago
    edits: bool = True  # an update changes the message; False: it is a message of its own


def asked(id: str, example: Example, *, state: PromptState = PromptState.OPEN, **more: Any) -> Sending:
    """A question as a dispatcher would send it."""
    now = clock.now()
    prompt = Prompt(
        id=id, execution=id.partition(".")[0], step="gate", kind=PromptKind.CONFIRM, text="Delete everything?", verdicts=("yes", "no"),
        opened_at=now, question=Question(who=("alice",), target="db-1", count=3, command="drop db-1"), state=state, **more,
    )  # fmt: skip
    name = example.channel.name
    token = make(KEY, id, name, example.person.person, asked_at=now, due_at=None)
    return Sending(
        id=f"{id}.1", what=What.QUESTION, prompt=prompt, runbook="cleanup", address=example.person, asked_at=now, token=token,
        page=f"https://holdfast.test/prompts/{id}", link=f"https://holdfast.test/by/{name}/{token}",
        callback=f"https://holdfast.test/api/v1/channels/{name}",
    )  # fmt: skip


class ChannelContract:
    """Messages, their repetition, and callbacks."""

    @pytest.fixture
    def example(self) -> Example:
        """Overridden by each implementation."""
        raise NotImplementedError

    def test_a_question_arrives_with_all_that_is_needed_to_decide(self, example: Example) -> None:
        example.channel.deliver(asked("one.11111111", example))
        (said,) = example.arrived("one.11111111")
        for needed in ("cleanup", "everything?", "db-1 (3)", "drop db-1", "gate", "holdfast answer one.11111111 yes|no"):
            assert needed in said

    def test_a_receipt_can_be_kept(self, example: Example) -> None:
        receipt = example.channel.deliver(asked("two.11111111", example))
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(receipt), type=Receipt) == receipt
        pickle.dumps(receipt)

    def test_a_repetition_can_be_told_from_a_second_question(self, example: Example) -> None:
        sending = asked("three.11111111", example)
        first = example.channel.deliver(sending)
        again = example.channel.deliver(msgspec.structs.replace(sending, again=True))
        assert again == first, "the far side knows it by the same id"

    def test_reminder_escalation_and_end(self, example: Example) -> None:
        sending = asked("four.11111111", example)
        receipt = example.channel.deliver(sending)
        example.channel.remind(msgspec.structs.replace(sending, id="four.2", what=What.REMINDER, number=2), receipt)
        assert "Reminder 2" in example.arrived("four.11111111")[1]
        example.channel.escalate(msgspec.structs.replace(sending, id="four.3", what=What.ESCALATION))
        assert "nobody has answered yet" in example.arrived("four.11111111")[2]
        done = msgspec.structs.replace(
            sending.prompt, state=PromptState.ANSWERED, answer="yes", answered_by="bob", via="inbox", answered_at=clock.now()
        )
        for number in (4, 4):  # a repetition does no harm
            example.channel.update(msgspec.structs.replace(sending, id=f"four.{number}", what=What.UPDATE, prompt=done), receipt)
        told = example.arrived("four.11111111")
        said = told[0] if example.edits else told[-1]
        assert "yes, answered by bob via inbox" in said
        assert "holdfast answer" not in said, "nothing looks as if it could still be answered"

    def test_an_answer_says_who_and_what(self, example: Example) -> None:
        sending = asked("five.11111111", example)
        example.channel.deliver(sending)
        heard = example.channel.verify(example.answer(sending, clock.now()), clock.now())
        if heard.beside is not None:
            heard = heard.beside(sending.prompt)
        assert heard.prompt == "five.11111111"
        assert heard.person == "alice" or heard.known_as is not None
        assert heard.wants or heard.verdict == "yes"

    def test_what_is_not_proved_is_refused(self, example: Example) -> None:
        sending = asked("six.11111111", example)
        good = example.answer(sending, clock.now())
        forged = example.forge(good)
        assert forged
        for callback in forged:
            with pytest.raises(RequestError) as caught:
                example.channel.verify(callback, clock.now())
            assert caught.value.code in ("HF720", "HF722")

    def test_what_is_too_old_is_refused(self, example: Example) -> None:
        with pytest.raises(RequestError) as caught:
            example.channel.verify(example.stale(asked("seven.11111111", example)), clock.now())
        assert caught.value.code == "HF721"

    def test_nonsense_is_refused_and_nothing_else(self, example: Example) -> None:
        for body in (b"", b"\xff\xfe", b"payload=%7B", b"[" * 50_000, b'{"token": 1}'):
            with pytest.raises(RequestError) as caught:
                example.channel.verify(Callback(body=body), clock.now())
            assert caught.value.code in ("HF720", "HF722")

    def test_a_refusal_is_told_or_raised(self, example: Example) -> None:
        sending = asked("eight.11111111", example)
        heard = example.channel.verify(example.answer(sending, clock.now()), clock.now())
        error = PromptError("HF401", "the prompt was answered by bob", cure="the first answer stands")
        told: object = None
        try:
            reply = example.channel.tell(heard, None, error)
            told = reply.content or reply.then
        except PromptError as raised:
            told = raised is error
        assert told, "somebody must be told"

    def test_whoever_cannot_be_reached_is_named(self, example: Example) -> None:
        found, without = example.channel.addresses(Audience(people=("nobody-here",), about={}))
        assert found or any("nobody-here" in why for why in without)

    def test_its_far_side_can_be_asked(self, example: Example) -> None:
        assert example.channel.probe()

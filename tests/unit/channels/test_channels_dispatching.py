"""The dispatcher with a channel of a stranger's: what is sent, when, and what a fault of it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.access.people import People
from holdfast.channels import outbox
from holdfast.channels.channel import Address, Receipt, Refused, Sending, TryLater
from holdfast.channels.dispatcher import Dispatcher, due, state_of
from holdfast.channels.settings import Channels
from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Mode
from holdfast.model.prompt import Prompt, PromptKind, Question
from holdfast.prompts.answering import answer
from holdfast.prompts.opening import open_prompt


class Moved(clock.SystemClock):
    """The machine's clock, moved forward."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


class Far:
    """A channel that writes down what it is told, and fails as it is told to."""

    name, needs_url = "far", False

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []
        self.fail: list[Exception] = []

    def addresses(self, audience: Any) -> tuple[list[Address], list[str]]:
        return [Address(place=p, person=p) for p in audience.people or ("all",)], []

    def deliver(self, sending: Sending, question: Receipt | None = None) -> Receipt:
        if self.fail:
            raise self.fail.pop(0)
        self.told.append((sending.what, sending.address.place, sending.number))
        return Receipt(said={"n": len(self.told)})

    remind = update = escalate = deliver


@pytest.fixture
def time() -> Iterator[Moved]:
    moved = Moved()
    before = clock.use(moved)
    yield moved
    clock.use(before)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/j.db", key_file=tmp_path / "key")
    yield opened
    opened.close()


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def dispatcher(store: Store, far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dispatcher:
    (tmp_path / "channels.toml").write_text("")
    config = Config.load(folder=tmp_path, environment={})
    made = Dispatcher(store, config)
    channels: Any = Channels({"far": far}, ("far",))  # type: ignore[dict-item]
    monkeypatch.setattr(made.file, "current", lambda: channels)
    return made


def ask(store: Store, id: str, **more: Any) -> Prompt:
    now = clock.now()
    header = Execution(id=id, runbook="r", created_at=now, updated_at=now, started_by="carol", **more.pop("header", {}))
    store.create(header, [Draft(kind=Kind.EXECUTION_CREATED, body={}, actor="carol")])
    lease = store.claim(id, this_process("test"), 30)
    assert lease is not None
    writer, kind = Writer(store, id, lease.fence, "carol"), PromptKind.CONFIRM
    return open_prompt(writer, step="s", subject="q", kind=kind, text="?", verdicts=("yes", "no"), question=Question(**more))


def test_what_is_open_when_the_first_channel_is_set_up_is_asked_once(store: Store, far: Far, dispatcher: Dispatcher) -> None:
    ask(store, "a"), ask(store, "b")
    for _ in range(3):
        dispatcher.look(patience=60)
    assert far.told == [("question", "all", 1)] * 2
    assert not due(store, "far")


def test_in_a_session_only_what_names_a_channel_is_carried(store: Store, far: Far, dispatcher: Dispatcher) -> None:
    ask(store, "a", header={"mode": Mode.INTERACTIVE}), ask(store, "b", header={"mode": Mode.INTERACTIVE}, via=("far",))
    dispatcher.look(patience=60)
    assert [d.prompt.partition(".")[0] for d in outbox.deliveries(store, "far")] == ["b"]


def test_missed_reminders_are_one_and_an_escalation_comes_beside_them(store: Store, far: Far, dispatcher: Dispatcher, time: Moved) -> None:
    prompt = ask(store, "a", who=("alice",), remind_every=60.0, escalate_to=("bob",), escalate_after=90.0)
    dispatcher.look(patience=60)
    time.ahead = 61
    dispatcher.look(patience=60)
    time.ahead = 3605  # nobody carried anything for an hour
    for _ in range(3):
        dispatcher.look(patience=60)
    assert far.told[:2] == [("question", "alice", 1), ("reminder", "alice", 1)]
    assert sorted(far.told[2:]) == [("escalation", "bob", 1), ("reminder", "alice", 2)]
    time.ahead = 3665
    dispatcher.look(patience=60)
    assert sorted(far.told[4:]) == [("reminder", "alice", 61), ("reminder", "bob", 61)]
    answer(store, prompt.id, "yes", who="bob", via="test")
    time.ahead = 7300
    dispatcher.look(patience=60)
    assert sorted(what for what, _, _ in far.told[6:]) == ["update", "update"], "nobody is reminded of what has ended"


def test_a_fault_of_a_channel_backs_off_and_holds_up_nothing_else(store: Store, far: Far, dispatcher: Dispatcher, time: Moved) -> None:
    ask(store, "a"), ask(store, "b")
    far.fail = [KeyError("odd"), TypeError("odd")]
    dispatcher.look(patience=60)
    dispatcher.look(patience=60)
    assert far.told == []
    assert state_of(store, "far").failures == 2
    time.ahead = 5
    dispatcher.look(patience=60)
    assert len(far.told) == 2
    assert state_of(store, "far").error is None


def test_what_is_refused_is_said_once_and_what_must_wait_waits(store: Store, far: Far, dispatcher: Dispatcher, time: Moved) -> None:
    ask(store, "a")
    far.fail = [TryLater("busy", after=30, all_of_it=True), Refused("no such place")]
    dispatcher.look(patience=60)
    ask(store, "b")
    time.ahead = 20
    dispatcher.look(patience=60)
    assert far.told == [], "the far side wants to be left alone"
    time.ahead = 31
    for _ in range(3):
        dispatcher.look(patience=60)
    assert far.told == [("question", "all", 1)]
    (note,) = [e.data for e in store.read("a") if e.kind == Kind.NOTE]
    assert note["why"] == "no such place"
    states = {d.prompt.partition(".")[0]: d.state for d in outbox.deliveries(store, "far")}
    assert states == {"a": "refused", "b": "sent"}


def test_secret_parameters_do_not_leave_the_house(store: Store, far: Far, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Prompt] = []

    def deliver(sending: Sending) -> Receipt:
        seen.append(sending.prompt)
        return Receipt()

    monkeypatch.setattr(far, "deliver", deliver)
    ask(store, "a", target="login with hunter22", header={"parameters": {"password": "hunter22"}, "secrets": ("password",)})
    dispatcher.look(patience=60)
    assert seen[0].question is not None
    assert seen[0].question.target == "login with ***"


def test_the_audience(tmp_path: Path) -> None:
    people = People({"groups": {"oncall": ["alice", "bob"]}, "people": {"alice": {"slack": "UA"}, "carol": {"slack": "UC"}}})
    question = Question(not_self=True, started_by="carol")
    audience = outbox.audience(people, ("group:oncall", "carol", "group:ghosts"), question)
    found, without = audience.spread("slack", own=None, groups={})
    assert [(a.place, a.person) for a in found] == [("UA", "alice")]
    assert without == ["the policy file has nobody in the group ghosts", "the policy file does not say slack of bob"]
    found, without = audience.spread("slack", own="C0", groups={"oncall": "C1"})
    assert [(a.place, a.person) for a in found] == [("C1", None)]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("default = ['slack']", "there is no channel 'slack'"),
        ("[pigeon]\nx = 1", "there is no kind of channel 'pigeon'"),
        ("[webhook.a]\nurl = 'https://a'", "secret is missing"),
        ("[webhook.a]\nurl = 'https://a'\nsecret = 'plain'", "never itself"),
        ("[webhook.a]\nurl = 'ftp://a'\nsecret = 'file:key'", "url must begin with"),
        ("[email]\nserver = 'a:b'\nfrom = 'a@b'", "HOST or HOST:PORT"),
        ("[email]\nserver = 'a'\nfrom = 'nobody'", "no mail address"),
        ("[slack]\ntoken = 'file:key'\nsigning_secret = 'file:key'\nchanel = 'C1'", "unknown key 'chanel'"),
        ("slack = 1", "must be a table"),
    ],
)
def test_a_channels_file_that_cannot_be_used(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "key").write_text("secret")
    (tmp_path / "channels.toml").write_text(text)
    with pytest.raises(OperatorError, match="HF290") as caught:
        Channels.load(Config.load(folder=tmp_path, environment={}), b"k" * 32)
    assert what in str(caught.value)

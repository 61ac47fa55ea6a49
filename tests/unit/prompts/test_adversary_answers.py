"""Answers by those who mean ill, or press twice: none counts for more than it should, and what is refused leaves nothing behind."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.errors import HoldfastError, PromptError
from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.entry import Kind
from holdfast.model.execution import Execution, Status
from holdfast.model.lease import Owner
from holdfast.model.prompt import Prompt, PromptKind, PromptState
from holdfast.prompts.answering import answer, withdraw
from holdfast.prompts.expiring import expire
from holdfast.prompts.listing import get, list_prompts
from holdfast.prompts.opening import open_prompt
from holdfast.prompts.questions import question
from holdfast.testing.clocks import StillClock
from holdfast.testing.laws import broken

E = "20260101-000000-aaaaaa"
#: What nobody can have meant: as verdicts, values, reasons.
NONSENSE: list[Any] = [
    "",
    " ",
    "YES!",
    "yes\0",
    "yes no",
    "ja",
    "1",
    1,
    0,
    1.5,
    [],
    ["yes"],
    {},
    {"verdict": "yes"},
    float("inf"),
    "y" * 100_000,
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path}/journal.db")
    made.create(Execution(id=E, runbook="r", status=Status.SUSPENDED, started_by="ann"))
    yield made
    assert broken(made.read(E)) == []
    made.close()


def ask(store: Store, kind: str, **more: Any) -> Prompt:
    asked = question(PromptKind(kind), "Delete prod?", started_by="ann" if more.get("not_self") else "", **more)
    lease = store.claim(E, Owner(host="h", boot="b", pid=1, started="1"), 60)
    assert lease is not None
    due = None if asked.timeout is None else clock.now() + asked.timeout
    writer = Writer(store, E, lease.fence, "tester")
    return open_prompt(
        writer, step="s", subject="x", kind=asked.kind, text=asked.text, verdicts=asked.verdicts, due_at=due, question=asked.question
    )


def refused(store: Store, prompt: Prompt, verdict: Any, who: str, **more: Any) -> str:
    """The code of the refusal; nothing is written."""
    before = store.read(E)
    with pytest.raises(HoldfastError) as caught:
        answer(store, prompt.id, verdict, who=who, via="test", **more)
    assert store.read(E) == before
    return caught.value.code


@pytest.mark.parametrize("kind", ["confirm", "approve"])
def test_nonsense_is_no_consent(store: Store, kind: str) -> None:
    prompt = ask(store, kind)
    for value in NONSENSE:
        if isinstance(value, str):
            assert refused(store, prompt, value, "bob") == "HF402"
        assert refused(store, prompt, None, "bob", value=value).startswith("HF40")
        assert refused(store, prompt, "yes", "bob", value=value).startswith("HF40")
    assert get(store, prompt.id).state == PromptState.OPEN


def test_a_reason_of_blanks_is_none_and_a_name_must_be_that_name(store: Store) -> None:
    prompt = ask(store, "confirm", why=True, destructive=True, target="prod-eu")
    for why in (None, "", "  \n\t "):
        assert refused(store, prompt, "yes", "bob", typed="prod-eu", why=why) == "HF408"
    for typed in (None, "", "prod", "PROD-EU", "prod-eu ", "prod-eu\n", "рrod-eu"):  # the last with a Cyrillic letter
        assert refused(store, prompt, "yes", "bob", typed=typed, why="sure") == "HF409"
    assert refused(store, prompt, "no", "bob") == "HF408"  # a no needs its reason, too, but no name
    assert answer(store, prompt.id, "no", who="bob", via="test", why="not today").answer == "no"


def test_who_was_not_asked_who_asked_and_who_has_voted(store: Store) -> None:
    prompt = ask(store, "approve", who=["bob", "group:leads", "ann"], at_least=2, not_self=True)
    for who, groups in (
        ("mallory", ()),
        ("leads", ()),
        ("group:leads", ()),
        ("", ("leads",)),
        ("ann", ("leads",)),
        ("Bob", ()),
        ("bob ", ()),
    ):
        assert refused(store, prompt, "yes", who, groups=groups) in ("HF406", "HF402"), who
    assert answer(store, prompt.id, "yes", who="bob", via="test").state == PromptState.OPEN
    assert refused(store, prompt, "yes", "bob") == "HF407"
    assert refused(store, prompt, "no", "bob") == "HF407"  # nor may a vote be changed
    assert refused(store, prompt, "yes", "bob", groups=["leads"]) == "HF407"
    assert answer(store, prompt.id, "yes", who="eve", via="test", groups=["leads"]).state == PromptState.ANSWERED
    assert refused(store, prompt, "no", "carl", groups=["leads"]) == "HF401"


def test_too_late_by_a_hair_is_too_late(store: Store, still: StillClock) -> None:
    prompt = ask(store, "confirm", timeout="1 h", on_timeout="no")
    still.at += 3600
    with pytest.raises(PromptError, match="HF401"):
        answer(store, prompt.id, "yes", who="bob", via="test")
    assert get(store, prompt.id).state == PromptState.EXPIRED
    assert refused(store, prompt, "yes", "bob") == "HF401"


def test_the_time_is_up_while_people_answer(store: Store, still: StillClock) -> None:
    prompt = ask(store, "approve", at_least=2, timeout="1 h")
    still.at += 3599.5
    start = threading.Barrier(9)

    def press(n: int) -> None:
        start.wait()
        try:
            answer(store, prompt.id, "yes" if n % 2 else "no", who=f"p{n}", via="test")
        except PromptError:
            pass

    def time_is_up() -> None:
        start.wait()
        still.at += 1
        expire(store, get(store, prompt.id), noticed_by="worker")

    threads = [threading.Thread(target=press, args=(n,)) for n in range(8)] + [threading.Thread(target=time_is_up)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = [e for e in store.read(E) if e.kind in (Kind.PROMPT_ANSWERED, Kind.PROMPT_EXPIRED, Kind.PROMPT_WITHDRAWN)]
    assert len(ends) == 1
    votes = [e for e in store.read(E) if e.kind == Kind.PROMPT_VOTED and e.seq < ends[0].seq]
    if ends[0].kind == Kind.PROMPT_ANSWERED and ends[0].data["verdict"] == "yes":
        assert len({v.data["who"] for v in votes if v.data["verdict"] == "yes"}) == 2
    assert store.pending(execution=E) == []


def test_the_index_of_open_questions_decides_nothing(store: Store, tmp_path: Path) -> None:
    """Whoever changes the row of the open matter gains no right by it, also by a shortened id."""
    prompt = ask(store, "approve", who=["bob", "eve"], at_least=2, not_self=True)
    assert prompt.question is not None
    loose = msgspec.structs.replace(prompt, question=msgspec.structs.replace(prompt.question, who=(), at_least=1, not_self=False))
    database = sqlite3.connect(tmp_path / "journal.db")
    with database:
        assert database.execute("UPDATE pending SET body = ?", (msgspec.msgpack.encode(loose),)).rowcount == 1
    database.close()
    for id in (prompt.id, prompt.id[-8:], prompt.id[-6:]):
        with pytest.raises(HoldfastError, match=r"HF406|HF602"):
            answer(store, id, "yes", who="mallory", via="test")
    assert get(store, prompt.id[-8:]).question == prompt.question
    assert [p.id for p in list_prompts(store)] == [prompt.id]


def test_what_was_withdrawn_or_ended_takes_nothing_any_more(store: Store) -> None:
    prompt = ask(store, "confirm")
    withdraw(store, prompt, who="ann", why="asked by mistake")
    assert refused(store, prompt, "yes", "bob") == "HF401"
    assert withdraw(store, prompt, who="ann", why="again").state == PromptState.WITHDRAWN
    assert [e.kind for e in store.read(E)].count(Kind.PROMPT_WITHDRAWN) == 1

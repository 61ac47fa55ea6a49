"""Opening, finding, answering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import LookupFailedError, PromptError
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.lease import Owner
from holdfast.model.prompt import Prompt, PromptKind, PromptState
from holdfast.prompts.answering import answer, withdraw
from holdfast.prompts.listing import get, list_prompts
from holdfast.prompts.opening import open_prompt

ONE, TWO = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path}/journal.db")
    yield made
    made.close()


def writer(store: Store, execution: str) -> Writer:
    if store.header(execution) is None:
        store.create(Execution(id=execution, runbook="r", status=Status.RUNNING))
    lease = store.claim(execution, Owner(host="h", boot="b", pid=1, started="1"), 60)
    assert lease is not None
    return Writer(store, execution, lease.fence, "tester")


def opened(store: Store, execution: str = ONE, subject: str = "call~1") -> Prompt:
    return open_prompt(
        writer(store, execution),
        step="s",
        subject=subject,
        kind=PromptKind.UNKNOWN_OUTCOME,
        text="Did it happen?",
        verdicts=("happened", "run", "skip", "abort"),
        request={"kind": "shell", "operation": "rm x"},
    )


def test_the_same_question_is_the_same_prompt(store: Store) -> None:
    assert opened(store) == opened(store)
    assert len(list_prompts(store)) == 1
    assert opened(store, subject="call~2").id != opened(store).id


def test_lists_show_open_ones_oldest_first_and_by_state(store: Store) -> None:
    first, second = opened(store, ONE), opened(store, TWO)
    assert [p.id for p in list_prompts(store)] == [first.id, second.id]
    assert [p.id for p in list_prompts(store, execution=TWO)] == [second.id]
    answer(store, first.id, "run", who="ann", via="cli", why="it is safe")
    assert [p.id for p in list_prompts(store)] == [second.id]
    (done,) = list_prompts(store, state=PromptState.ANSWERED)
    assert (done.id, done.answer, done.answered_by, done.via, done.why) == (first.id, "run", "ann", "cli", "it is safe")
    assert len(list_prompts(store, state=None)) == 2


def test_ids_may_be_shortened_as_long_as_they_are_unique(store: Store) -> None:
    first, second = opened(store, ONE), opened(store, TWO)
    assert get(store, first.id) == first
    assert get(store, first.id.rpartition(".")[2][:6]) == first
    assert get(store, second.id[:20]) == second
    with pytest.raises(LookupFailedError, match=r"HF602.*2 prompts match"):
        get(store, "2026010")
    with pytest.raises(LookupFailedError, match=r"HF602"):
        get(store, "nothing-like-it")
    with pytest.raises(LookupFailedError, match=r"HF602"):
        get(store, "2")


def test_the_first_end_wins(store: Store) -> None:
    prompt = opened(store)
    answer(store, prompt.id, "happened", value=7, who="ann", via="cli")
    with pytest.raises(PromptError, match=r"HF401.*by ann") as late:
        answer(store, prompt.id, "run", who="bob", via="cli")
    assert late.value.code == "HF401"
    assert withdraw(store, prompt, who="system", why="no longer needed").state == PromptState.ANSWERED
    assert get(store, prompt.id).value == 7


def test_a_withdrawn_prompt_takes_no_answer(store: Store) -> None:
    prompt = opened(store)
    withdraw(store, prompt, who="system", why="the execution was cancelled")
    with pytest.raises(PromptError, match=r"HF401.*withdrawn"):
        answer(store, prompt.id, "run", who="bob", via="cli")
    assert list_prompts(store) == []


def test_only_open_verdicts_and_only_sensible_values(store: Store) -> None:
    prompt = opened(store)
    with pytest.raises(PromptError, match=r"HF402.*happened, run, skip, abort"):
        answer(store, prompt.id, "yes", who="ann", via="cli")
    with pytest.raises(PromptError, match=r"HF404"):
        answer(store, prompt.id, "run", value=1, who="ann", via="cli")
    assert get(store, prompt.id).state == PromptState.OPEN


def test_an_ended_execution_takes_no_answers(store: Store) -> None:
    prompt = opened(store)
    writer(store, ONE).append("execution.cancelled", change=Change(status=Status.CANCELLED))
    with pytest.raises(PromptError, match=r"HF403"):
        answer(store, prompt.id, "run", who="ann", via="cli")


def test_answers_come_from_outside_the_lease_and_make_the_execution_due(store: Store) -> None:
    prompt = opened(store)
    answer(store, prompt.id, "run", who="ann", via="cli")
    entry = store.read(ONE, kinds=["prompt.answered"])[0]
    assert entry.fence is None
    assert (entry.actor, entry.step, entry.key) == ("ann", "s", prompt.id)
    header = store.header(ONE)
    assert header is not None
    assert header.due_at is not None

"""Transient failures: tried again inside the call, counted in the journal."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.durable.interceptor import Transient
from holdfast.errors import Cancel, Suspend
from holdfast.model.policy import Policy, Retry
from holdfast.prompts.answering import answer
from holdfast.prompts.listing import list_prompts

RETRY = Retry(count=3, delay=1.0)


class Flaky:
    """Refuses ``times`` times."""

    def __init__(self, world: Any, times: int, retry_after: float | None = None) -> None:
        self.world, self.left, self.retry_after = world, times, retry_after

    def __call__(self, attempt: Any) -> str:
        self.world.far.take(attempt.number)
        if self.left:
            self.left -= 1
            raise ConnectionRefusedError("refused")
        return "done"

    def transient(self, result: Any, error: BaseException | None) -> Transient | None:
        return Transient(reason="refused", retry_after=self.retry_after) if isinstance(error, ConnectionRefusedError) else None


def perform(world: Any, ask: Any, flaky: Flaky, retry: Retry = RETRY) -> Any:
    return world.recorder.perform(ask("w"), flaky, transient=flaky.transient, retry=retry)


def test_it_is_tried_again_with_growing_pauses_under_one_idempotency_key(world: Any, ask: Any, still: Any) -> None:
    with world.cell():
        assert perform(world, ask, Flaky(world, 2)) == "done"
    assert still.slept == [1.0, 2.0]
    assert [e.data["attempt"] for e in world.entries("call.intent")] == [1, 2, 3]
    assert len({e.data["idempotency_key"] for e in world.entries("call.intent")}) == 1
    first, second, last = (e.data for e in world.entries("call.outcome"))
    assert first["transient"] is second["transient"] is True
    assert first["next_at"] < second["next_at"]
    assert last["state"] == "succeeded"
    assert world.lawful()


def test_the_outside_may_ask_for_a_longer_pause(world: Any, ask: Any, still: Any) -> None:
    with world.cell():
        perform(world, ask, Flaky(world, 1, retry_after=7.5))
    assert still.slept == [7.5]


def test_a_crash_while_waiting_resets_neither_count_nor_pause(world: Any, ask: Any, still: Any, power_cut: Any, monkeypatch: Any) -> None:
    def cut(seconds: float) -> None:
        still.at += 0.25
        raise power_cut

    with monkeypatch.context() as m, world.cell():
        m.setattr(still, "sleep", cut)
        perform(world, ask, Flaky(world, 9))
    with pytest.raises(Suspend), world.cell():
        perform(world, ask, Flaky(world, 9))
    assert world.far.seen == [1, 2, 3, 4]
    assert still.slept == [0.75, 2.0, 4.0]


def test_exhausted_retries_wait_for_an_operator_and_go_on_when_told(world: Any, ask: Any, still: Any) -> None:
    for _ in range(2):
        with pytest.raises(Suspend), world.cell():
            perform(world, ask, Flaky(world, 9))
        world.restart()
    (prompt,) = list_prompts(world.store)
    assert prompt.kind == "retries_exhausted"
    assert prompt.verdicts == ("run", "skip", "abort")
    assert world.far.seen == [1, 2, 3, 4]
    answer(world.store, prompt.id, "run", who="ann", via="test")
    world.restart()
    with world.cell():
        assert perform(world, ask, Flaky(world, 1)) == "done"
    assert world.far.seen == [1, 2, 3, 4, 5, 6]
    world.restart()
    with world.cell():
        assert perform(world, ask, Flaky(world, 9)) == "done"
    assert world.lawful()


def test_a_second_exhausted_round_is_a_second_prompt(world: Any, ask: Any, still: Any) -> None:
    with pytest.raises(Suspend) as first, world.cell():
        perform(world, ask, Flaky(world, 9))
    answer(world.store, first.value.details["prompt"], "run", who="ann", via="test")
    world.restart()
    with pytest.raises(Suspend) as second, world.cell():
        perform(world, ask, Flaky(world, 9))
    assert first.value.details["prompt"] != second.value.details["prompt"]


@pytest.mark.parametrize("verdict", ["skip", "abort"])
def test_the_operator_may_skip_or_abort(world: Any, ask: Any, still: Any, verdict: str) -> None:
    with pytest.raises(Suspend) as caught, world.cell():
        perform(world, ask, Flaky(world, 9))
    answer(world.store, caught.value.details["prompt"], verdict, who="ann", via="test")
    world.restart()
    if verdict == "abort":
        with pytest.raises(Cancel), world.cell():
            perform(world, ask, Flaky(world, 9))
    else:
        with world.cell():
            assert perform(world, ask, Flaky(world, 9)) is None
    assert world.far.seen == [1, 2, 3, 4]


def test_on_failure_stop_raises_the_last_error_and_a_replay_raises_it_too(world: Any, ask: Any, still: Any) -> None:
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError, match=r"refused"), world.cell(policy=Policy(on_failure="stop")):
            perform(world, ask, Flaky(world, 9))
        world.restart()
    assert world.far.seen == [1, 2, 3, 4]
    assert list_prompts(world.store) == []


def test_a_pause_too_long_to_hold_a_kernel_for_suspends(world: Any, ask: Any, still: Any) -> None:
    with pytest.raises(Suspend) as caught, world.cell():
        perform(world, ask, Flaky(world, 1, retry_after=500))
    assert caught.value.details["waiting_for"] == "timer"
    assert caught.value.details["due_at"] == still.at + 500
    assert world.store.header(world.writer.execution).due_at == still.at + 500
    world.restart()
    still.at += 501
    with world.cell():
        assert perform(world, ask, Flaky(world, 0)) == "done"
    assert still.slept == []
    assert world.far.seen == [1, 2]


def test_the_deadline_of_a_round_ends_it_before_its_count(world: Any, ask: Any, still: Any) -> None:
    world.recorder.retry_deadline = 3.5
    with pytest.raises(Suspend), world.cell():
        perform(world, ask, Flaky(world, 9), Retry(count=50, delay=1.0, backoff="constant"))
    assert world.far.seen == [1, 2, 3, 4]


def test_reads_are_retried_with_rows_too(world: Any, ask: Any, still: Any) -> None:
    from holdfast.model.call import Effect

    flaky = Flaky(world, 2)
    with world.cell():
        assert world.recorder.perform(ask("r", Effect.READ), flaky, transient=flaky.transient, retry=RETRY) == "done"
    assert [e.data["attempt"] for e in world.entries("call.outcome")] == [1, 2, 3]
    assert world.entries("call.intent") == []

"""A call that was begun and whose outcome nobody wrote down is never silently repeated."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.durable.interceptor import Outcome
from holdfast.errors import Cancel, OutcomeUnknownError, PromptError, Suspend
from holdfast.model.call import Effect
from holdfast.prompts.answering import answer
from holdfast.prompts.listing import get, list_prompts


def suspended(world: Any, what: str = "w", **more: Any) -> str:
    """Run the cell; returns the id of the prompt that it waits for."""
    world.restart()
    with pytest.raises(Suspend) as caught, world.cell():
        world.write(what, **more)
    prompt: str = caught.value.details["prompt"]
    return prompt


def test_a_read_is_run_again(world: Any) -> None:
    world.cut("r", Effect.READ)
    with world.cell():
        world.write("r", Effect.READ)
    assert world.far.seen == ["r", "r"]
    assert world.lawful()


def test_an_idempotent_call_is_run_again_with_the_stored_key(world: Any, ask: Any) -> None:
    world.cut("i", Effect.IDEMPOTENT)
    attempts: list[Any] = []
    with world.cell():
        world.recorder.perform(ask("i", Effect.IDEMPOTENT), attempts.append)
    (stored,) = {e.data["idempotency_key"] for e in world.entries("call.intent")}
    assert [(a.idempotency_key, a.resumed, a.number) for a in attempts] == [(stored, True, 1)]
    assert world.lawful()


@pytest.mark.parametrize(
    ("found", "times", "value"), [(Outcome(happened=True, value="probed"), 1, "probed"), (Outcome(happened=False), 2, "w")]
)
def test_a_probe_is_believed_and_its_word_recorded(world: Any, found: Outcome, times: int, value: str) -> None:
    world.cut("w")
    for _ in range(2):
        with world.cell():
            assert world.write("w", probe=lambda attempt: found) == value
        world.restart()
    assert len(world.far.seen) == times
    (verdict,) = world.entries("call.verdict")
    assert verdict.data["via"] == "probe"
    assert world.lawful()


def test_a_probe_that_cannot_tell_leaves_it_to_a_person(world: Any) -> None:
    world.cut("w")
    assert suspended(world, probe=lambda attempt: None)
    assert world.far.seen == ["w"]


def test_a_write_waits_for_a_person_with_one_prompt_however_often_it_is_resumed(world: Any) -> None:
    world.cut("w")
    first, second = suspended(world), suspended(world)
    assert first == second
    (prompt,) = list_prompts(world.store)
    assert prompt.id == first
    assert prompt.verdicts == ("happened", "run", "skip", "abort")
    assert prompt.request["operation"] == "do w"
    assert prompt.request["arguments"] == {"what": "w"}
    assert world.far.seen == ["w"]
    assert world.lawful()


def test_happened_with_a_value_is_that_result_for_ever(world: Any) -> None:
    world.cut("w")
    answer(world.store, suspended(world), "happened", value={"id": 7}, who="ann", via="test", why="saw it")
    for _ in range(2):
        world.restart()
        with world.cell():
            assert world.write("w", load=lambda stored: ("loaded", stored)) == ("loaded", {"id": 7})
    assert world.far.seen == ["w"]
    (verdict,) = world.entries("call.verdict")
    assert (verdict.data["who"], verdict.data["why"], verdict.actor) == ("ann", "saw it", "ann")
    assert world.lawful()


@pytest.mark.parametrize("verdict", ["happened", "skip"])
def test_without_a_value_the_interceptor_says_what_it_means(world: Any, verdict: str) -> None:
    world.cut("w")
    answer(world.store, suspended(world), verdict, who="ann", via="test")
    world.restart()
    with world.cell():
        assert world.write("w", assumed=lambda value: {"status": 0, "given": value}) == {"status": 0, "given": None}
    assert world.far.seen == ["w"]


def test_run_makes_a_second_attempt(world: Any) -> None:
    world.cut("w")
    answer(world.store, suspended(world), "run", who="ann", via="test")
    for _ in range(2):
        world.restart()
        with world.cell():
            assert world.write("w") == "w"
    assert world.far.seen == ["w", "w"]
    assert [e.data["attempt"] for e in world.entries("call.intent")] == [1, 2]
    assert world.lawful()


def test_a_second_unknown_outcome_is_a_second_prompt(world: Any) -> None:
    world.cut("w")
    first = suspended(world)
    answer(world.store, first, "run", who="ann", via="test")
    world.restart()
    world.cut("w")
    assert suspended(world) != first


def test_abort_ends_the_execution_and_says_who(world: Any) -> None:
    world.cut("w")
    answer(world.store, suspended(world), "abort", who="ann", via="test", why="too risky")
    world.restart()
    with pytest.raises(Cancel, match=r"aborted by ann: too risky"), world.cell():
        world.write("w")
    assert world.far.seen == ["w"]


def test_the_first_answer_wins_and_the_second_learns_whose_it_was(world: Any) -> None:
    world.cut("w")
    prompt = suspended(world)
    answer(world.store, prompt, "run", who="ann", via="test")
    with pytest.raises(PromptError, match=r"HF401.*answered by ann.*'run'"):
        answer(world.store, prompt, "skip", who="bob", via="test")
    assert get(world.store, prompt).answered_by == "ann"
    assert list_prompts(world.store) == []


def test_an_answer_makes_the_execution_due(world: Any) -> None:
    world.cut("w")
    prompt = suspended(world)
    answer(world.store, prompt, "run", who="ann", via="test")
    header = world.store.header(prompt.rpartition(".")[0])
    assert header.due_at is not None


def test_a_call_that_says_itself_that_its_outcome_is_unknown_waits_too(world: Any, ask: Any) -> None:
    def lost(attempt: Any) -> None:
        world.far.take("w")
        raise OutcomeUnknownError("HF301", "the supervisor died")

    with pytest.raises(Suspend), world.cell():
        world.recorder.perform(ask("w"), lost)
    assert len(list_prompts(world.store)) == 1


def test_an_interrupted_write_is_unknown_in_the_same_process_too(world: Any, ask: Any) -> None:
    def interrupted(attempt: Any) -> None:
        world.far.take("w")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), world.cell():
        world.recorder.perform(ask("w"), interrupted)
    with pytest.raises(Suspend), world.cell():
        world.write("w")
    assert world.far.seen == ["w"]
    (prompt,) = list_prompts(world.store)
    assert "1970" not in prompt.text


def test_an_outcome_lost_in_this_very_process_is_asked_about_with_the_time_it_began(world: Any, ask: Any) -> None:
    def lost(attempt: Any) -> None:
        world.far.take("w")
        raise OutcomeUnknownError("HF301", "the supervisor died")

    with pytest.raises(Suspend), world.cell():
        world.recorder.perform(ask("w"), lost)
    (prompt,) = list_prompts(world.store)
    assert "1970" not in prompt.text


def test_an_idempotent_call_that_lost_its_answer_is_tried_again_and_not_for_ever(world: Any, ask: Any, still: Any) -> None:
    keys = []

    def lost(attempt: Any) -> None:
        keys.append(attempt.idempotency_key)
        raise OutcomeUnknownError("HF311", "the connection broke")

    with pytest.raises(Suspend), world.cell():
        world.recorder.perform(ask("i", Effect.IDEMPOTENT), lost)
    assert len(keys) == world.recorder.retry.count + 1
    assert len(set(keys)) == 1
    (prompt,) = list_prompts(world.store)
    assert prompt.kind == "retries_exhausted"


def test_a_write_that_a_probe_says_did_not_happen_is_tried_again_and_not_for_ever(world: Any, ask: Any, still: Any) -> None:
    def lost(attempt: Any) -> None:
        world.far.take("w")
        raise OutcomeUnknownError("HF311", "the connection broke")

    with pytest.raises(Suspend), world.cell():
        world.recorder.perform(ask("w"), lost, probe=lambda attempt: Outcome(happened=False))
    assert len(world.far.seen) == world.recorder.retry.count + 1
    assert world.lawful()


def test_later_attempts_at_a_doubtful_idempotent_call_know_that_it_may_have_happened(world: Any, ask: Any, still: Any) -> None:
    from holdfast.durable.interceptor import Transient

    world.cut("i", Effect.IDEMPOTENT)
    attempts: list[Any] = []

    def refused(attempt: Any) -> None:
        attempts.append((attempt.number, attempt.resumed))
        if len(attempts) < 3:
            raise ConnectionRefusedError

    def passing(result: Any, error: BaseException | None) -> Transient | None:
        return Transient(reason="refused") if error else None

    with world.cell():
        world.recorder.perform(ask("i", Effect.IDEMPOTENT), refused, transient=passing)
    assert attempts == [(1, True), (2, True), (3, True)]
    assert world.lawful()


def test_no_call_leaves_a_cell_that_is_being_unwound(world: Any) -> None:
    world.cut("w", Effect.WRITE)
    world.restart()

    def cell() -> None:
        with world.cell():
            try:
                world.write("w")
            finally:
                world.write("clean up")

    with pytest.raises(Suspend):
        cell()
    assert "clean up" not in world.far.seen


def test_a_probe_is_asked_before_an_idempotent_call_is_made_again(world: Any) -> None:
    world.cut("i", Effect.IDEMPOTENT)
    seen = list(world.far.seen)
    with world.cell():
        assert world.write("i", Effect.IDEMPOTENT, probe=lambda attempt: Outcome(happened=True, value="found")) == "found"
    assert world.far.seen == seen
    assert world.lawful()

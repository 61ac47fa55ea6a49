"""A recorded call is answered from the record, and only a recorded one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import datetime
import threading
from typing import Any

import pytest

from holdfast.model.call import Effect


@dataclasses.dataclass
class Volume:
    id: str
    size: int


class VolumeGone(Exception):
    def __init__(self, volume: str, *, region: str) -> None:
        super().__init__(f"{volume} is gone from {region}")
        self.volume = volume


VALUES = [None, True, 7, 2**70, 1.5, "text", b"bytes", [1, [2]], {"a": {"b": 1}}, (1, 2), {1, 2}, datetime.date(2026, 1, 2), Volume("v", 3)]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_first_pass_and_replay_see_equal_values_of_equal_type(world: Any, ask: Any, value: Any) -> None:
    seen = []
    for _ in range(2):
        with world.cell():
            seen.append(world.recorder.perform(ask("x"), lambda attempt: world.far.take(value)))
        world.restart()
    assert seen[0] == seen[1] == value
    assert type(seen[0]) is type(seen[1]) is type(value)
    assert len(world.far.seen) == 1
    assert world.lawful()


def test_what_the_cell_changes_in_a_result_is_not_in_the_record(world: Any, ask: Any) -> None:
    original = {"list": [1]}
    with world.cell():
        handed = world.recorder.perform(ask("x"), lambda attempt: original)
        handed["list"].append(2)
    assert original == {"list": [1]}
    world.restart()
    with world.cell():
        assert world.recorder.perform(ask("x"), lambda attempt: None) == {"list": [1]}


def test_a_write_commits_intent_and_outcome_a_read_only_its_outcome(world: Any) -> None:
    with world.cell():
        world.write("w")
        world.write("r", Effect.READ)
    assert [e.kind for e in world.entries()] == ["call.intent", "call.outcome", "call.outcome"]
    intent, outcome, reading = (e.data for e in world.entries())
    assert intent["operation"] == "do w"
    assert intent["lane"] == "main"
    assert "operation" not in outcome
    assert reading["operation"] == "do r"


def test_equal_requests_are_told_apart_by_their_occurrence(world: Any) -> None:
    for _ in range(2):
        with world.cell():
            for _ in range(3):
                world.write("same")
            assert world.last is not None
        world.restart()
    assert len(world.far.seen) == 3
    assert len({e.key for e in world.entries("call.intent")}) == 3


def test_reordered_reads_find_their_own_results(world: Any) -> None:
    with world.cell():
        assert [world.write(x, Effect.READ) for x in "abc"] == list("abc")
    world.restart()
    with world.cell():
        assert [world.write(x, Effect.READ) for x in "cab"] == list("cab")
    assert len(world.far.seen) == 3


def test_an_edited_argument_never_gets_another_calls_result(world: Any) -> None:
    with world.cell():
        world.write("delete a")
    world.restart()
    with world.cell(digest="edited"):
        assert world.write("delete b") == "delete b"
    assert world.last.orphaned == ("do delete a",)
    assert world.far.seen == ["delete a", "delete b"]


@pytest.mark.parametrize("error", [KeyError("k"), VolumeGone("v1", region="eu"), OSError(2, "no such file"), ZeroDivisionError()], ids=repr)
def test_an_error_is_recorded_and_raised_again_as_it_was(world: Any, ask: Any, error: Exception) -> None:
    def fail(attempt: Any) -> None:
        world.far.take("called")
        raise error

    for _ in range(2):
        with world.cell(), pytest.raises(type(error)) as caught:
            world.recorder.perform(ask("x"), fail)
        assert str(caught.value) == str(error)
        world.restart()
    assert len(world.far.seen) == 1


def test_an_error_that_cannot_be_made_again_is_the_same_substitute_both_times(world: Any, ask: Any) -> None:
    class Local(Exception):
        def __init__(self) -> None:
            super().__init__("held", threading.Lock())

    def fail(attempt: Any) -> None:
        raise Local

    texts = []
    for _ in range(2):
        with world.cell(), pytest.raises(Exception) as caught:
            world.recorder.perform(ask("x"), fail)
        texts.append((type(caught.value), str(caught.value)))
        world.restart()
    assert texts[0] == texts[1]


def test_a_result_that_cannot_be_stored_is_an_error_on_record_not_a_repetition(world: Any, ask: Any) -> None:
    for _ in range(2):
        with world.cell(), pytest.raises(Exception, match=r"HF165"):
            world.recorder.perform(ask("x"), lambda attempt: world.far.take(threading.Lock()))
        world.restart()
    assert len(world.far.seen) == 1


def test_inner_calls_of_a_recorded_call_pass_through(world: Any, ask: Any) -> None:
    def outer(attempt: Any) -> str:
        assert not world.recorder.active
        return str(world.write("inner"))

    for _ in range(2):
        with world.cell():
            assert world.recorder.perform(ask("outer"), outer) == "inner"
        world.restart()
    assert world.far.seen == ["inner"]
    assert len(world.entries("call.intent")) == 1


@pytest.mark.parametrize("way", ["thread", "pool", "task"])
def test_threads_and_tasks_of_a_call_are_inside_it(world: Any, ask: Any, way: str) -> None:
    def outer(attempt: Any) -> Any:
        if way == "thread":
            thread = threading.Thread(target=world.write, args=("inner",))
            thread.start()
            thread.join()
        elif way == "pool":
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                pool.submit(world.write, "inner").result()
        else:

            async def main() -> None:
                await asyncio.gather(*(asyncio.to_thread(world.write, "inner") for _ in range(2)))

            asyncio.run(main())
        return None

    with world.cell():
        world.recorder.perform(ask("outer"), outer)
    assert len(world.entries("call.intent")) == 1


def test_a_pool_that_a_call_used_first_records_what_is_submitted_later(world: Any, ask: Any) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool, world.cell():
        world.recorder.perform(ask("outer"), lambda attempt: pool.submit(world.write, "inner").result())
        pool.submit(world.write, "later").result()
        world.recorder.perform(ask("outer"), lambda attempt: pool.submit(world.write, "inner").result())
    assert [e.data["operation"] for e in world.entries("call.intent")] == ["do outer", "do later", "do outer"]


def test_threads_of_a_cell_record_without_an_order(world: Any) -> None:
    for order in ("abcdef", "fedcba"):
        with world.cell(), concurrent.futures.ThreadPoolExecutor(3) as pool:
            assert sorted(pool.map(world.write, order)) == list("abcdef")
        world.restart()
    assert sorted(world.far.seen) == list("abcdef")
    assert {e.data["lane"] for e in world.entries("call.intent")} == {""}


def test_gathered_coroutines_record_and_replay(world: Any, ask: Any) -> None:
    async def one(name: str) -> Any:
        async def do(attempt: Any) -> Any:
            await asyncio.sleep(0)
            return world.far.take(name)

        return await world.recorder.perform_async(ask(name), do)

    async def main() -> Any:
        return await asyncio.gather(one("a"), one("b"), one("a"))

    for _ in range(2):
        with world.cell():
            assert asyncio.run(main()) == ["a", "b", "a"]
        world.restart()
    assert sorted(world.far.seen) == ["a", "a", "b"]


def test_cheap_readings_wait_for_the_next_commit_and_come_before_it(world: Any, ask: Any) -> None:
    import msgspec

    cheap = msgspec.structs.replace(ask("t", Effect.READ, "clock"), cheap=True)
    with world.cell():
        assert world.recorder.perform(cheap, lambda attempt: 41) == 41
        assert world.entries() == []
        world.write("w")
    assert [e.data.get("kind") for e in world.entries("call.outcome", "call.intent")] == ["clock", "call", None]
    world.restart()
    with world.cell():
        assert world.recorder.perform(cheap, lambda attempt: 42) == 41


def test_cheap_readings_at_the_end_are_handed_to_the_kernel(world: Any, ask: Any) -> None:
    import msgspec

    cheap = msgspec.structs.replace(ask("t", Effect.READ, "clock"), cheap=True)
    with world.cell(commit=False):
        world.recorder.perform(cheap, lambda attempt: 41)
    assert [d.kind for d in world.last.drafts] == ["call.outcome"]
    assert world.entries() == []


def test_cells_of_one_step_do_not_take_each_others_results(world: Any) -> None:
    with world.cell(cell="one"):
        world.write("same")
    with world.cell(cell="two", completed=frozenset({"one"})):
        world.write("same")
        world.write("more")
    assert len(world.far.seen) == 3
    world.restart()
    with world.cell(cell="two", completed=frozenset({"one"})):  # the first cell is skipped on resume
        world.write("same")
        world.write("more")
    assert len(world.far.seen) == 3


def test_which_cells_are_complete_is_looked_up_when_not_told(world: Any) -> None:
    with world.cell(cell="one"):
        world.write("same")
    world.writer.append("cell.completed", {}, step="s", key="one")
    with world.cell(cell="two"):
        world.write("same")
    assert len(world.far.seen) == 2


def test_a_new_attempt_of_the_step_keeps_writes_and_makes_reads_and_failures_anew(world: Any, ask: Any) -> None:
    def fail(attempt: Any) -> None:
        world.far.take("failing")
        raise KeyError

    for attempt in (1, 1, 2, 2):
        with world.cell(step_attempt=attempt):
            world.write("w")
            world.write("r", Effect.READ)
            with pytest.raises(KeyError):
                world.recorder.perform(ask("f"), fail)
        world.restart()
    assert world.far.seen == ["w", "r", "failing", "r", "failing"]
    assert [e.data["attempt"] for e in world.entries("call.intent")] == [1, 1, 2]


def test_a_result_that_means_failure_is_made_anew_by_a_new_attempt_only(world: Any) -> None:
    for attempt in (1, 1, 2):
        with world.cell(step_attempt=attempt):
            assert world.write(3, failed=lambda stored: stored == 3) == 3
        world.restart()
    assert world.far.seen == [3, 3]


def test_a_reset_step_makes_everything_anew_under_other_keys(world: Any) -> None:
    with world.cell():
        world.write("w")
    world.writer.append("step.reset", {}, step="s")
    with world.cell():
        world.write("w")
    assert world.far.seen == ["w", "w"]
    first, second = world.entries("call.intent")
    assert first.key != second.key
    assert first.data["idempotency_key"] != second.data["idempotency_key"]


def test_restoring_answers_from_the_record_and_refuses_what_is_not_there(world: Any) -> None:
    from holdfast.durable.cell import CellContext

    with world.cell():
        world.write("known")
    world.restart()
    with world.recorder.restoring(CellContext(step="s", cell="c", source_digest="d")):
        assert world.write("known") == "known"
        with pytest.raises(Exception, match=r"HF153"):
            world.write("unknown")
    assert world.far.seen == ["known"]


def test_restoring_takes_recorded_readings_and_makes_no_new_ones(world: Any, ask: Any) -> None:
    import msgspec

    from holdfast.durable.cell import CellContext

    cheap = msgspec.structs.replace(ask("t", Effect.READ, "clock"), cheap=True)
    with world.cell():
        world.recorder.perform(cheap, lambda attempt: 41)
    world.restart()
    with world.recorder.restoring(CellContext(step="s", cell="c", source_digest="d")):
        assert world.recorder.perform(cheap, lambda attempt: 42) == 41
        with pytest.raises(Exception, match="HF153"):
            world.recorder.perform(cheap, lambda attempt: 43)
    with world.cell(cell="other"):
        pass
    assert world.last.drafts == ()


def test_a_lost_journal_stops_before_the_effect(world: Any) -> None:
    world.store.close()
    with pytest.raises(Exception, match=r"HF50"), world.cell():
        world.write("w")
    assert world.far.seen == []


def test_a_fenced_writer_is_stopped_before_the_effect(world: Any) -> None:
    from holdfast.errors import Fenced

    old = world.recorder
    with world.cell():
        world.restart()  # another worker has claimed it meanwhile
        world.recorder, new = old, world.recorder
        with pytest.raises(Fenced):
            world.write("w")
        world.recorder = old
    del new
    assert world.far.seen == []

"""Unchanged code that asks for something else than before is stopped before it does it."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Cancel, NondeterminismError, Suspend
from holdfast.model.policy import Policy
from holdfast.prompts.answering import answer
from holdfast.prompts.listing import list_prompts


@pytest.fixture
def crashed(world: Any, power_cut: Any) -> Any:
    """A cell that deleted `a` and then lost power."""
    with world.cell():
        world.write("a")
        raise power_cut
    return world


def test_a_new_write_before_a_recorded_one_asks_with_both(crashed: Any) -> None:
    with pytest.raises(Suspend), crashed.cell():
        crashed.write("b")
    (prompt,) = list_prompts(crashed.store)
    assert prompt.kind == "nondeterminism"
    assert prompt.verdicts == ("use", "run", "abort")
    assert "`do b`" in prompt.text
    assert "`do a`" in prompt.text
    assert crashed.far.seen == ["a"]


@pytest.mark.parametrize(("verdict", "value", "seen"), [("use", "a", ["a"]), ("run", "b", ["a", "b"])])
def test_the_answer_is_followed_for_ever(crashed: Any, verdict: str, value: str, seen: list[str]) -> None:
    with pytest.raises(Suspend) as caught, crashed.cell():
        crashed.write("b")
    answer(crashed.store, caught.value.details["prompt"], verdict, who="ann", via="test")
    for _ in range(2):
        crashed.restart()
        with crashed.cell():
            assert crashed.write("b") == value
    assert crashed.far.seen == seen
    assert crashed.lawful()


def test_abort(crashed: Any) -> None:
    with pytest.raises(Suspend) as caught, crashed.cell():
        crashed.write("b")
    answer(crashed.store, caught.value.details["prompt"], "abort", who="ann", via="test")
    crashed.restart()
    with pytest.raises(Cancel), crashed.cell():
        crashed.write("b")
    assert crashed.far.seen == ["a"]


def test_on_failure_stop_raises(crashed: Any) -> None:
    with pytest.raises(NondeterminismError, match=r"HF152.*`do b`.*`do a`"), crashed.cell(policy=Policy(on_failure="stop")):
        crashed.write("b")
    assert crashed.far.seen == ["a"]


def test_edited_code_runs_the_new_call_and_lists_the_leftover(crashed: Any) -> None:
    with crashed.cell(digest="edited"):
        crashed.write("b")
    assert crashed.last.orphaned == ("do a",)
    (note,) = crashed.entries("note")
    assert note.data["calls"][0]["operation"] == "do a"
    assert crashed.far.seen == ["a", "b"]


def test_the_kernel_may_say_that_the_code_is_edited(crashed: Any) -> None:
    with crashed.cell(edited=True):
        crashed.write("b")
    assert crashed.far.seen == ["a", "b"]


def test_a_write_after_all_recorded_ones_is_no_surprise(crashed: Any) -> None:
    with crashed.cell():
        crashed.write("a")
        crashed.write("b")
    assert crashed.far.seen == ["a", "b"]


def test_new_reads_are_no_surprise(crashed: Any) -> None:
    from holdfast.model.call import Effect

    with crashed.cell():
        crashed.write("new", Effect.READ)
        crashed.write("a")


def test_threads_have_no_order_to_keep(world: Any, power_cut: Any) -> None:
    import threading

    def in_thread(what: str) -> None:
        thread = threading.Thread(target=world.write, args=(what,))
        thread.start()
        thread.join()

    with world.cell():
        in_thread("a")
        raise power_cut
    with world.cell():
        in_thread("b")
        in_thread("a")
    assert world.far.seen == ["a", "b"]


def test_a_new_attempt_of_the_step_may_take_another_way(crashed: Any) -> None:
    with crashed.cell(step_attempt=2):
        crashed.write("b")
    assert crashed.far.seen == ["a", "b"]


def test_the_task_of_a_cell_with_await_keeps_its_order_and_tasks_it_starts_do_not(world: Any, power_cut: Any) -> None:
    import asyncio

    async def write(what: str) -> None:
        world.write(what)

    async def cell(first: str, tasks: str, cut: bool) -> None:
        world.recorder.adopt_task()  # what the kernel does in the task that it makes for the cell
        await asyncio.gather(*(asyncio.create_task(write(t)) for t in tasks))
        await write(first)
        if cut:
            raise power_cut

    with world.cell():
        asyncio.run(cell("a", "xy", True))
    assert [e.data["lane"] for e in world.entries("call.intent")] == ["", "", "main"]
    with pytest.raises(Suspend), world.cell():
        asyncio.run(cell("b", "yxz", False))
    assert world.far.seen == ["x", "y", "a", "z"]

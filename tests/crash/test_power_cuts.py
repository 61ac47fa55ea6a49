"""SIGKILL of kernel, engine and both at every named point, on SQLite and PostgreSQL: the execution ends as if nothing had been."""

from __future__ import annotations

import pytest
from tests.crash.conftest import World

pytestmark = pytest.mark.crash

#: point in the kernel -> which passage
IN_THE_KERNEL = {
    "call.before_intent": 2,
    "call.after_intent": 2,
    "call.after_effect": 3,
    "call.after_outcome": 3,
    "shell.after_spawn": 2,
    "checkpoint.during": 3,
    "checkpoint.before_commit": 2,
    "step.after_commit": 2,
    "journal.before_commit": 7,
}
VICTIMS = {"kernel": "kill-once", "engine": "kill-parent-once", "both": "kill-both-once"}
IN_THE_ENGINE = {"engine.before_step": 2, "engine.after_step": 2, "output.during_write": 3, "lease.during_renewal": 1}


def test_nothing_is_cut(world: World) -> None:
    world.run()
    world.assert_once()
    world.assert_end()
    world.sandbox.assert_laws("x")


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("point", IN_THE_KERNEL)
def test_a_cut_in_the_kernel(world: World, point: str, victim: str) -> None:
    first = world.run(f"{point}@{IN_THE_KERNEL[point]}={VICTIMS[victim]}")
    assert len(world.sandbox.struck()) == 1
    assert world.carry_on(first).status == 0
    world.assert_once()
    world.assert_end()


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_cut_while_restoring(world: World, victim: str) -> None:
    faults = f"step.after_commit@5=kill-both-once,restore.during={VICTIMS[victim]}"
    first = world.run(faults)
    assert world.carry_on(first, faults).status == 0
    assert len(world.sandbox.struck()) == 2
    world.assert_once()
    world.assert_end()


@pytest.mark.parametrize("victim", ["kill-once", "kill-tree-once"])
@pytest.mark.parametrize("point", IN_THE_ENGINE)
def test_a_cut_in_the_engine(world: World, point: str, victim: str) -> None:
    world.sandbox.environment["HOLDFAST_LEASE_TTL"] = "1"
    first = world.run(f"{point}@{IN_THE_ENGINE[point]}={victim}")
    assert len(world.sandbox.struck()) == 1
    assert world.carry_on(first).status == 0
    world.assert_once()
    world.assert_end()


def test_a_cut_after_a_question_was_put(world: World) -> None:
    faults = "call.after_intent@4=kill-both-once,prompt.after_open=kill-both-once"
    first = world.run(faults)
    assert world.carry_on(first, faults).status == 0
    assert len({prompt["id"] for prompt in world.asked}) <= 1, "the question was put twice under different names"
    world.assert_once()
    world.assert_end()


def test_replay_always(world: World) -> None:
    """The kernel dies after every single call that it makes."""
    first = world.run("call.after_outcome=kill", timeout=240)
    assert len(world.sandbox.struck()) >= 10
    assert world.carry_on(first).status == 0
    world.assert_once()
    world.assert_end()

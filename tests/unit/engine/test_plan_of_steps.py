"""Which step may begin, in which kernel, and what a failure changes."""

from __future__ import annotations

from typing import Any

from holdfast.engine.plan import Plan, StepState, choose
from holdfast.model.manifest import Manifest, Step
from holdfast.model.policy import Policy


def manifest(**after: Any) -> Manifest:
    """name -> the steps it waits for, or (those, further fields)."""
    steps = []
    for name, said in after.items():
        waits, fields = said if isinstance(said, tuple) and len(said) == 2 and isinstance(said[1], dict) else (said, {})
        steps.append(Step(name=name, cells=(), after=tuple(waits), **fields))
    return Manifest(name="m", digest="d", steps=tuple(steps))


def names(plan: Plan) -> list[str]:
    return [s.name for s in plan.ready()]


def test_a_step_waits_for_those_before_it() -> None:
    plan = Plan(manifest(a=[], b=["a"], c=["a"], d=["b", "c"]))
    assert names(plan) == ["a"]
    plan.begin("a")
    assert names(plan) == []
    plan.end("a", StepState.SUCCEEDED)
    assert names(plan) == ["b", "c"]
    plan.begin("b")
    plan.end("b", StepState.SUCCEEDED)
    assert names(plan) == ["c"]
    plan.end("c", StepState.SUCCEEDED)
    assert names(plan) == ["d"]
    assert plan.ancestors("d") == ("a", "b", "c")
    plan.end("d", StepState.SUCCEEDED)
    assert plan.finished


def test_a_skipped_step_stands_for_what_it_waits_for() -> None:
    plan = Plan(manifest(a=[], b=["a"], c=["b"]))
    plan.end("b", StepState.SKIPPED)
    assert names(plan) == ["a"], "c must not overtake a because b is left out"
    plan.end("a", StepState.SUCCEEDED)
    assert names(plan) == ["c"]
    assert plan.ancestors("c") == ("a",)


def test_a_failure_stops_what_is_new_and_then_only_always_steps_run() -> None:
    plan = Plan(manifest(a=[], b=["a"], other=[], tidy=(["b"], {"always": True})))
    plan.end("a", StepState.SUCCEEDED)
    plan.begin("other")
    assert plan.failed("b") == []
    assert names(plan) == []
    assert plan.failures == ["b"]
    assert plan.close()
    assert names(plan) == [], "not while something still runs"
    plan.end("other", StepState.SUCCEEDED)
    assert names(plan) == ["tidy"]
    plan.end("tidy", StepState.SUCCEEDED)
    assert not plan.close()
    assert not plan.finished


def test_a_tolerated_failure_lets_the_rest_go_on() -> None:
    plan = Plan(manifest(a=([], {"policy": Policy(on_failure="continue")}), b=["a"]))
    plan.failed("a")
    assert names(plan) == ["b"]
    plan.end("b", StepState.SUCCEEDED)
    assert plan.finished
    assert plan.failures == []


def test_a_failure_may_go_on_elsewhere_and_leaves_out_what_lies_between() -> None:
    plan = Plan(manifest(a=([], {"policy": Policy(on_failure="d")}), b=["a"], c=["b"], d=["c"], e=["d"]))
    assert plan.failed("a") == ["b", "c"]
    assert names(plan) == ["d"]
    plan.end("d", StepState.SUCCEEDED)
    assert names(plan) == ["e"]


def test_a_rollback_runs_nothing_but_its_teardowns_one_after_the_other() -> None:
    plan = Plan(
        manifest(a=[], b=["a"], c=["b"], undo_a=([], {"teardown_of": "a"}), undo_b=([], {"teardown_of": "b"})), undo=("undo_b", "undo_a")
    )
    plan.only_undo(lambda step: step.name == "a")
    assert plan.states["b"] == plan.states["c"] == StepState.SKIPPED
    assert [s.name for s in plan.ready()] == ["a"]  # complete: it is shown again
    plan.end("a", StepState.SUCCEEDED)
    assert [s.name for s in plan.ready()] == ["undo_b"]
    assert plan.ancestors("undo_b") == ("a",)
    plan.end("undo_b", StepState.SUCCEEDED)
    assert [s.name for s in plan.ready()] == ["undo_a"]
    plan.end("undo_a", StepState.SUCCEEDED)
    assert plan.finished


def test_teardowns_are_no_part_of_it() -> None:
    plan = Plan(manifest(a=[], undo=(["a"], {"teardown_of": "a"})))
    plan.end("a", StepState.SUCCEEDED)
    assert names(plan) == []
    assert plan.finished


def test_a_pool_lets_as_many_run_as_it_has_room_for() -> None:
    pooled = {"policy": Policy(pool="drain")}
    plan = Plan(manifest(a=([], pooled), b=([], pooled), c=([], pooled)), {"drain": 2})
    assert names(plan) == ["a", "b"]
    plan.begin("a")
    assert names(plan) == ["b"]
    plan.begin("b")
    assert names(plan) == []
    plan.end("a", StepState.SUCCEEDED)
    assert names(plan) == ["c"]
    assert names(Plan(manifest(a=([], pooled), b=([], pooled)))) == ["a"]


class _Kernel:
    def __init__(self, *holds: str, dirty: bool = False) -> None:
        self.holds, self.dirty = set(holds), dirty


def test_a_kernel_suits_when_it_holds_nothing_but_ancestors() -> None:
    fresh, near, stranger, dirty = _Kernel(), _Kernel("a"), _Kernel("a", "b"), _Kernel("a", dirty=True)
    assert choose([fresh, near, stranger, dirty], ["a"]) is near
    assert choose([stranger, dirty], ["a"]) is None
    assert choose([fresh, stranger], ["a", "b"]) is stranger

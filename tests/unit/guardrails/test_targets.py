"""Sets of targets: chosen once, read again when they are old, never growing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import changing, for_each, targets
from holdfast.durable.interceptor import Request
from holdfast.errors import AuthorError, ForEachError, GuardrailError
from holdfast.foundation import faults
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.call import Effect
from holdfast.model.entry import Kind
from holdfast.model.policy import Policy
from holdfast.testing.clocks import StillClock, still_clock
from holdfast.testing.guarded import Guarded


@pytest.fixture
def still() -> Iterator[StillClock]:
    with still_clock() as stands:
        yield stands


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path}/journal.db")
    yield made
    made.close()


@pytest.mark.parametrize("loop", ["for", "for_each"])
@pytest.mark.parametrize("gone", ["v1", "v2", "v3"])
def test_what_is_gone_is_left_out_and_what_is_new_is_not_touched(store: Store, still: StillClock, loop: str, gone: str) -> None:
    there = ["v1", "v2", "v3"]
    run = Guarded(store, "a")
    with run.cell():
        chosen = targets(lambda: list(there), name="volumes", max_age="1 min")
    still.at += 61
    there.remove(gone)
    there.append("v4")
    with run.cell("later"):
        if loop == "for":
            for volume in chosen:
                run.change(volume)
        else:
            for_each(chosen, run.change)
    assert run.made == [v for v in ("v1", "v2", "v3") if v != gone]
    assert [e.data["gone"] for e in store.read("a", kinds=(Kind.TARGETS_REREAD,))] == [[gone]]


def test_what_we_have_done_ourselves_does_not_disturb_a_replay(store: Store, still: StillClock) -> None:
    there = ["v1", "v2", "v3"]
    run = Guarded(store, "a")

    def delete(name: str) -> None:
        run.change(name)
        if name in there:
            there.remove(name)

    with run.cell("plan"):
        chosen = targets(lambda: list(there), max_age="1 min")
    with run.cell():
        for volume in list(chosen)[:2]:
            delete(volume)
    run.restart()
    still.at += 3600
    with run.cell():
        for volume in chosen:
            delete(volume)
    assert run.made == ["v1", "v2", "v3"]


def test_a_set_that_cannot_be_read_again_stops_the_change(store: Store, still: StillClock) -> None:
    answers: list[Any] = [["v1"], ConnectionRefusedError("no route")]

    def read() -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    run = Guarded(store, "a", about={"limits": {"max_age": 60}})
    with run.cell():
        chosen = targets(read)
        still.at += 61
        with pytest.raises(ForEachError, match=r"HF808.*cannot be read again.*no route"):
            for_each(chosen, run.change)
    assert run.made == []


def test_reading_may_not_change_anything(store: Store) -> None:
    run = Guarded(store, "a")
    with run.cell(), pytest.raises(AuthorError, match="HF163"):
        targets(lambda: [run.change("v1")])
    assert run.made == []


@pytest.mark.parametrize(("percent", "passed"), [(25, 3), (24, 2), (8, 0), (100, 12)])
def test_a_share_is_rounded_down(store: Store, percent: float, passed: int) -> None:
    run = Guarded(store, "a")
    made, refused = 0, set()
    with run.cell(policy=Policy(max_percent=percent)):
        for volume in targets(lambda: range(12)):
            try:
                run.change(f"snapshot {volume}")
                run.change(f"delete {volume}")  # of the same thing
                made += 1
            except GuardrailError as refusal:
                refused.add(refusal.code)
    assert refused == ({"HF801"} if passed < 12 else set())
    assert (made, len(run.made)) == (passed, 2 * passed)


def test_a_share_of_nothing_known_is_refused(store: Store) -> None:
    run = Guarded(store, "a")
    with run.cell(policy=Policy(max_percent=50)), pytest.raises(GuardrailError, match="HF810"):
        run.change("v1")


def test_how_a_thing_looked_before_and_after_is_kept_once(store: Store) -> None:
    state = {"v1": "in-use"}
    run = Guarded(store, "a")

    def detach() -> None:
        run.change("detach")
        state["v1"] = "available"

    for _ in range(2):  # the second time is a replay
        with run.cell():
            with changing({"VolumeId": "v1"}, read=lambda: state["v1"], why="the owner asked"):
                detach()
        run.restart()
    (intent,) = [e.data for e in store.read("a", kinds=(Kind.CALL_INTENT,))]
    (seen,) = store.read("a", kinds=(Kind.EFFECT_SEEN,))
    assert (intent["target"], intent["before"], intent["why"]) == ("v1", "in-use", "the owner asked")
    assert (seen.key, seen.data["after"]) == ("v1", "available")


def test_a_change_that_may_have_made_its_target_go_is_not_held_back_by_that(store: Store, still: StillClock) -> None:
    there, reached = ["v1", "v2"], []
    run = Guarded(store, "a")

    def delete(name: str) -> None:
        def do(attempt: Any) -> str:
            reached.append(name)
            if name in there:
                there.remove(name)
            return name

        operation = f"delete {name}"
        request = Request(kind="call", operation=operation, fingerprint=operation.encode(), effect=Effect.IDEMPOTENT, target=name)
        run.recorder.perform(request, do)

    def delete_all() -> None:
        with run.cell():
            for volume in chosen:
                delete(volume)

    with run.cell("plan"):
        chosen = targets(lambda: list(there), max_age="1 min")
    faults.arm("call.after_effect@1=raise:power")
    try:
        with pytest.raises(RuntimeError, match="power"):
            delete_all()
    finally:
        faults.arm("")
    assert (reached, there) == (["v1"], ["v2"])
    run.restart()
    still.at += 3600
    delete_all()
    assert reached == ["v1", "v1", "v2"], "made again with the stored key: its outcome was not known"


def test_a_cell_that_runs_again_to_restore_goes_over_what_it_went_over_then(store: Store, still: StillClock) -> None:
    there = ["v1", "v2"]
    run = Guarded(store, "a")
    with run.cell("plan"):
        chosen = targets(lambda: list(there), max_age="1 min")
    still.at += 3600
    there.remove("v1")
    with run.cell("gate", mode="restore"):
        assert list(chosen) == ["v1", "v2"]
    with run.cell("gate"):
        assert list(chosen) == ["v2"]

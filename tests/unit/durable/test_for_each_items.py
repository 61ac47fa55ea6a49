"""`for_each`: an item that is done is not done again."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
from typing import Any

import pytest

from holdfast import ForEachError, TerminalError, call, for_each
from holdfast.durable import current
from holdfast.durable.progress import Progress
from holdfast.errors import Suspend


def test_values_come_in_order_and_nothing_is_done_twice(world: Any) -> None:
    def double(n: int) -> int:
        return int(world.write(n)) * 2

    for concurrency in (1, 4):
        with world.cell():
            results = for_each([3, 1, 2, 1], double, concurrency=concurrency)
            assert list(results) == [6, 2, 4, 2]
        world.restart()
    assert sorted(world.far.seen) == [1, 1, 2, 3]
    assert world.lawful()


def test_after_a_crash_it_goes_on_inside_the_item(world: Any, power_cut: Any) -> None:
    armed = [True]

    def item(n: int) -> int:
        world.write(f"first {n}")
        if n == 2 and armed:
            raise power_cut
        world.write(f"second {n}")
        return n

    with world.cell():
        for_each(range(4), item)
    armed.clear()
    with world.cell():
        assert list(for_each(range(4), item)) == [0, 1, 2, 3]
    assert sorted(world.far.seen) == sorted(f"{which} {n}" for n in range(4) for which in ("first", "second"))
    assert world.last.orphaned == ()


def test_coroutine_functions(world: Any) -> None:
    most, now = [0], [0]

    async def item(n: int) -> int:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.01)
        now[0] -= 1
        return int(world.write(n))  # the counters above are traces in memory: the items are gone through again, this call is not

    for _ in range(2):
        with world.cell():
            assert list(for_each(range(6), item, concurrency=3)) == list(range(6))
        world.restart()
    assert sorted(world.far.seen) == list(range(6))
    assert most[0] == 3


def fails_on(bad: set[int], world: Any) -> Any:
    def item(n: int) -> int:
        world.far.take(n)
        if n in bad:
            raise ValueError(f"bad {n}")
        return n

    return item


def test_the_first_failure_stops_and_says_what_failed(world: Any) -> None:
    with (
        pytest.raises(ForEachError, match=r"HF304: 1 of 5 items of item failed, 2 not started: \[2\] 2: ValueError: bad 2") as caught,
        world.cell(),
    ):
        for_each(range(5), fails_on({2}, world), label="item")
    results = caught.value.results
    assert [i.index for i in results.succeeded] == [0, 1]
    assert [i.index for i in results.failed] == [2]
    assert [i.index for i in results.skipped] == [3, 4]
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(("allowed", "reached"), [(1, 5), ("20%", 8), (0, 2), ("100%", 10)])
def test_errors_are_allowed_by_number_and_by_share(world: Any, allowed: Any, reached: int) -> None:
    item = fails_on({1, 4, 7}, world)
    with world.cell():
        if reached == 10:
            assert list(for_each(range(10), item, max_errors=allowed)) == [0, None, 2, 3, None, 5, 6, None, 8, 9]
        else:
            with pytest.raises(ForEachError):
                for_each(range(10), item, max_errors=allowed)
    assert len(world.far.seen) == reached


def test_collect_gives_back_what_there_is(world: Any) -> None:
    with world.cell():
        results = for_each(range(4), fails_on({1, 3}, world), on_error="collect")
    assert list(results) == [0, None, 2, None]
    assert [str(i.error) for i in results.failed] == ["bad 1", "bad 3"]


def test_once_the_cause_is_gone_only_items_not_done_are_run(world: Any) -> None:
    with pytest.raises(ForEachError), world.cell():
        for_each(range(5), fails_on({1, 3}, world), max_errors=1, label="x")
    world.far.seen.clear()
    world.restart()
    with pytest.raises(ForEachError), world.cell():  # a crash and a replay: the failures stand
        for_each(range(5), fails_on(set(), world), max_errors=1, label="x")
    assert world.far.seen == []
    for change in ({"step_attempt": 2}, {"step_attempt": 2}):
        world.restart()
        with world.cell(**change):
            assert list(for_each(range(5), fails_on(set(), world), label="x")) == [0, 1, 2, 3, 4]
    assert world.far.seen == [1, 3, 4]


def test_a_terminal_error_stops_at_once_whatever_is_allowed(world: Any) -> None:
    def item(n: int) -> None:
        world.far.take(n)
        if n == 1:
            raise TerminalError("stop")

    with pytest.raises(TerminalError), world.cell():
        for_each(range(5), item, on_error="collect")
    assert world.far.seen == [0, 1]


def test_an_item_that_waits_for_a_person_stops_new_ones_and_suspends_at_the_end(world: Any, power_cut: Any) -> None:
    def item(n: int) -> None:
        def do(attempt: Any) -> None:
            world.far.take(n)
            if n == 1 and len(world.far.seen) == 2:
                raise power_cut

        from tests.unit.durable.conftest import request

        world.recorder.perform(request(n), do)

    with world.cell():
        for_each(range(4), item)
    with pytest.raises(Suspend), world.cell():
        for_each(range(4), item)
    assert world.far.seen == [0, 1]


def test_items_run_side_by_side(world: Any) -> None:
    together = threading.Barrier(3, timeout=20)
    with world.cell():
        for_each(range(3), lambda n: together.wait() and None, concurrency=3)


def test_items_are_recognised_by_key(world: Any) -> None:
    class Host:
        def __init__(self, name: str) -> None:
            self.name, self.lock = name, threading.Lock()

    for _ in range(2):
        with world.cell():
            for_each([Host("a"), Host("b")], lambda host: world.far.take(host.name), key=lambda host: host.name)
        world.restart()
    assert world.far.seen == ["a", "b"]


def test_loops_in_loops(world: Any) -> None:
    for _ in range(2):
        with world.cell():
            outer = for_each("ab", lambda a: list(for_each([1, 1], lambda n: world.write(f"{a}{n}"), label="inner")), label="outer")
            assert list(outer) == [["a1", "a1"], ["b1", "b1"]]
        world.restart()
    assert world.far.seen == ["a1", "a1", "b1", "b1"]


def test_two_loops_over_the_same_items(world: Any) -> None:
    for _ in range(2):
        with world.cell():
            for_each([1, 2], world.write)
            for_each([1, 2], world.write)
        world.restart()
    assert world.far.seen == [1, 2, 1, 2]


def test_outside_a_kernel_and_inside_a_call_it_is_a_plain_loop(world: Any) -> None:
    current.install(None)
    assert list(for_each([1, 2], lambda n: n + 1)) == [2, 3]
    current.install(world.recorder)

    @call
    def outer() -> Any:
        return list(for_each([1, 2], lambda n: n + 1))

    with world.cell():
        assert outer() == [2, 3]
    assert world.entries("item.completed") == []


@pytest.mark.parametrize(
    "wrong", [{"concurrency": 0}, {"max_errors": "many"}, {"max_errors": -1}, {"max_errors": "101%"}, {"on_error": "ignore"}]
)
def test_wrong_arguments_are_refused_before_anything_runs(world: Any, wrong: Any) -> None:
    with pytest.raises(Exception, match=r"HF156"), world.cell():
        for_each([1], world.far.take, **wrong)
    assert world.far.seen == []


def test_results_show_failures_first_and_pickle(world: Any) -> None:
    with world.cell():
        results = for_each(["<a>", "b"], lambda s: 1 // (s == "b"), on_error="collect", label="div")
    assert repr(results).splitlines()[0] == "div: 1 succeeded, 1 failed"
    html = results._repr_html_()
    assert "&lt;a&gt;" in html
    assert "<a>" not in html
    assert list(pickle.loads(pickle.dumps(results))) == [None, 1]
    assert results[1:] == [1]
    assert results == [None, 1]


def test_the_bar_says_how_far_it_is(still: Any) -> None:
    bar = Progress(4, "hosts", shown=False)
    bar.count(replayed=True)
    still.at += 10
    bar.count(failed=True)
    assert bar.text() == "hosts [████████████············] 2/4, 1 failed, 1 done before, about 20 s left"
    assert 'value="2" max="4"' in bar.html()


def test_what_items_did_in_memory_is_there_after_a_restart(world: Any) -> None:
    take = call(name="take")(world.far.take)
    for broken in (True, False):
        log: list[int] = []

        def item(n: int, log: list[int] = log, broken: bool = broken) -> int:
            take(n)
            log.append(n)
            if broken and n == 3:
                raise KeyboardInterrupt
            return n

        with contextlib.suppress(KeyboardInterrupt), world.cell():
            assert list(for_each(range(5), item, label="items")) == list(range(5))
        world.restart()
    assert sorted(world.far.seen) == list(range(5))
    assert log == list(range(5))


def test_items_that_leave_no_trace_are_not_gone_through_again(world: Any) -> None:
    def item(n: int) -> int:
        made = [n]
        made.append(world.far.take(n) or n)
        return sum(made)

    for _ in range(2):
        with world.cell():
            assert list(for_each(range(3), item)) == [0, 2, 4]
        world.restart()
    assert sorted(world.far.seen) == list(range(3))

"""A step of a pool with one place: it gives the place back while it waits for a person, and claims it again before it goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.engine import identity  # noqa: E402
from holdfast.foundation import clock  # noqa: E402
from holdfast.testing.clocks import still_clock  # noqa: E402
from holdfast_dagster.resuming import look  # noqa: E402

POOLS = "concurrency: {pools: {default_limit: 1, granularity: op}}\n"


@pytest.fixture(scope="module")
def house(dagster_house: Callable[..., Any]) -> Iterator[Any]:
    """A home without a daemon."""
    with dagster_house("pools", settings=POOLS, warm=True, environment={"HOLDFAST_HOLD_FOR": "0"}) as made:
        asks = made.record("asks") + "from holdfast import signal\nsignal('go')\n" + made.record("answered")
        made.home.runbook("asks", [("step:use", asks, {"pool": "db"}), ("step:after", made.record("after"))])
        go = str(made.home.folder / "go")
        stand = f"import os, time\nwhile not os.path.exists({go!r}): time.sleep(0.05)\n"
        for name in ("stands", "dies"):
            made.home.runbook(name, [("step:use", made.record(name) + made.note(f"in-{name}") + stand, {"pool": "db"})])
        made.go = made.home.folder / "go"
        yield made


def places(house: Any) -> tuple[int, int]:
    """How many are taken, how many steps wait for one."""
    info = house.instance.event_log_storage.get_concurrency_info("db")
    return info.active_slot_count, info.pending_step_count


def later_look(house: Any) -> list[str]:
    """What the sensor does a minute from now."""
    with Client.open() as client, still_clock() as later:
        later.at = clock.now() + 60
        return look(house.instance, client, None)[1]


@pytest.mark.slow
def test_it_gives_its_place_to_another_one_while_it_waits_and_waits_for_it_again(house: Any) -> None:
    asks = house.launch("asks")
    house.until(asks, "SUSPENDED")
    assert places(house) == (0, 0)
    stands = house.launch("stands")
    house.home.until(lambda: "in-stands" in house.effects(), "the other one", 180)
    with Client.open() as client:
        client.signal(house.execution(asks), "go", "well")
    later_look(house)
    house.home.until(lambda: any("blocked by limit for pool db" in said for said in house.said(asks)), "its wait for a place", 180)
    assert places(house) == (1, 1)
    assert "answered" not in house.effects()
    house.go.touch()
    house.until(stands, "SUCCESS")
    house.until(asks, "SUCCESS")
    assert house.effects() == ["asks", "stands", "in-stands", "answered", "after"]
    assert places(house) == (0, 0)
    for run in (asks, stands):
        house.home.assert_laws(house.execution(run))


@pytest.mark.slow
def test_a_step_whose_worker_dies_keeps_its_place_for_the_next_one(house: Any) -> None:
    house.go.unlink(missing_ok=True)
    dies = house.launch("dies")
    house.home.until(lambda: "in-dies" in house.effects(), "the cell", 180)
    worker = identity.parse(house.run(dies).tags[".dagster/holdfast_worker"])
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    house.home.until(lambda: later_look(house) == [f"recovered 1: {dies}"] or house.effects().count("in-dies") == 2, "another worker", 180)
    house.home.until(lambda: house.effects().count("in-dies") == 2, "the cell again", 180)
    assert places(house) == (1, 0)
    house.go.touch()
    house.until(dies, "SUCCESS")
    assert house.effects().count("dies") == 1
    assert places(house) == (0, 0)
    house.home.assert_laws(house.execution(dies))

"""An instance that allows few resumptions of a run: a run that waits more often goes on all the same, and is not told as failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.model.execution import Status  # noqa: E402

WAIT = "from holdfast import wait\nwait('1 s')\n"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_waits_more_often_than_it_may_be_resumed(dagster_house: Callable[..., Any]) -> None:
    with dagster_house("attempts", environment={"HOLDFAST_HOLD_FOR": "0"}) as house:
        settings = house.home.home / "dagster.yaml"
        settings.write_text(settings.read_text().replace("max_resume_run_attempts: 100000", "max_resume_run_attempts: 1"))
        cells = [(f"step:s{n}", house.record(f"s{n}") + WAIT + house.record(f"after{n}")) for n in range(3)]
        house.home.runbook("waits", cells)
        house.home.dagster("daemon")
        first = house.launch("waits")
        with Client.open() as client:
            house.home.until(lambda: client.list(statuses=[Status.SUCCEEDED]), "the end", 240)
        house.home.until(lambda: all(r.is_finished for r in house.instance.get_runs()), "the end of its runs", 120)
        assert {r.status.value for r in house.instance.get_runs()} == {"SUCCESS"}
        assert house.effects() == ["s0", "after0", "s1", "after1", "s2", "after2"]
        assert house.kinds(first).count("RUN_SUSPENDED") == 1
        assert any("max_resume_run_attempts allows no more" in said for said in house.said(first))

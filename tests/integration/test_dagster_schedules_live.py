"""Schedules of runbooks that wait, run by the real daemon: what a tick does when the execution before it has not ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast_dagster.instance import SETTINGS  # noqa: E402

# two ticks of a clock that ticks every minute
pytestmark = pytest.mark.slow

DEFINITIONS = """\
from pathlib import Path
from holdfast_dagster import build_definitions

defs = build_definitions(Path(__file__).parent / "runbooks")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterHome]:
    made = DagsterHome(tmp_path)
    (made.home / "dagster.yaml").write_text(SETTINGS)
    (tmp_path / "defs.py").write_text(DEFINITIONS)
    for name, value in made.environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield made
    made.stop()
    with dg.DagsterInstance.from_config(str(made.home)) as instance:
        for run in instance.get_runs():
            if not run.is_finished:
                instance.run_launcher.terminate(run.run_id)


def test_overlap_of_runs_that_wait(home: DagsterHome) -> None:
    waits = [("step:ask", "import holdfast\nholdfast.wait('1 day')")]
    works = [("step:work", f"import os, time\nwhile not os.path.exists({str(home.folder / 'go')!r}): time.sleep(0.1)")]
    for overlap in ("skip", "replace", "allow", "queue"):
        cells = works if overlap == "queue" else waits
        home.runbook(f"on_{overlap}", cells, schedule={"cron": "* * * * *", "timezone": "Europe/Berlin", "overlap": overlap})
    home.runbook("off", waits, schedule={"cron": "* * * * *", "enabled": False})
    with dg.DagsterInstance.from_config(str(home.home)) as instance, Client.open() as client:
        home.dagster("daemon")  # after the instance has made its tables

        def of(name: str) -> list[Any]:
            return list(reversed(instance.get_runs(filters=dg.RunsFilter(job_name=name))))

        def ticks(name: str) -> list[str]:
            states = [s for s in instance.all_instigator_state() if s.instigator_name == f"{name}__schedule"]
            return [t.status.value for s in states for t in instance.get_ticks(s.instigator_origin_id, s.selector_id)]

        names = [f"on_{overlap}" for overlap in ("skip", "replace", "allow", "queue")]
        home.until(lambda: all(len(ticks(n)) >= 2 and "STARTED" not in ticks(n) for n in names), "two ticks of each", 400)
        home.until(lambda: of("on_allow")[1].status.value == "SUSPENDED", "the second of those that may overlap", 200)
        assert [r.status.value for r in of("on_allow")[:2]] == ["SUSPENDED", "SUSPENDED"]
        assert [r.status.value for r in of("on_skip")] == ["SUSPENDED"]
        assert "SKIPPED" in ticks("on_skip")
        home.until(lambda: of("on_replace")[-1].status.value == "SUSPENDED", "the one that replaces", 200)
        assert {r.status.value for r in of("on_replace")[:-1]} == {"CANCELED"}
        assert str(client.get(of("on_replace")[0].tags["holdfast/execution_id"]).status) == "cancelled"
        assert [r.status.value for r in of("on_queue")[:2]] == ["STARTED", "QUEUED"]
        (home.folder / "go").touch()
        home.until(lambda: [r.status.value for r in of("on_queue")[:2]] == ["SUCCESS", "SUCCESS"], "both that were in the queue", 200)
        assert of("off") == []

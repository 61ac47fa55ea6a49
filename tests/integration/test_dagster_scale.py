"""Many runs at once on a small machine: all of them end, none is lost, each effect is made once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402

#: What only execution needs. To import it takes seconds where JupyterLab is installed beside it.
HEAVY = {"nbclient", "nbformat", "jsonschema", "jupyter_client", "zmq", "papermill", "IPython", "holdfast.engine.steps"}
LOAD = """\
import sys
from holdfast_dagster import build_definitions
build_definitions(sys.argv[1]).get_repository_def().load_all_definitions()
print(*sys.modules)
"""


def test_a_code_location_loads_nothing_that_only_execution_needs(tmp_path: Path) -> None:
    home = DagsterHome(tmp_path)
    slices = {"type": "daily", "start": "2026-01-01", "parameter": "day"}
    cells = [("parameters", "day: str"), ("asset:made", "day"), ("check:right", "True")]
    home.runbook("book", cells, schedule={"cron": "@daily"}, partitions=slices)
    command = [sys.executable, "-W", "ignore", "-c", LOAD, str(home.runbooks)]
    loaded = subprocess.run(command, env=home.environment, capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())


def queue(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, seconds: float) -> None:
    """Launch so many runs, then let the daemon begin."""
    from holdfast_dagster.launching import launch

    home = DagsterHome(folder, warm=True)
    settings = home.home / "dagster.yaml"
    queued = "class: HoldfastRunCoordinator"
    assert queued in settings.read_text()
    limits = f"{queued}, config: {{max_concurrent_runs: 4, dequeue_use_threads: true}}"
    settings.write_text(settings.read_text().replace(queued, limits))
    for name, value in home.environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    far = folder / "far.txt"
    source = f"import subprocess\nsubprocess.run(['sh', '-c', f'echo {{number}} >> {far}'], check=True)"
    book = home.runbook("many", [("parameters", "number: int = 0"), ("step:a", source), ("step:b", "number + 1")])
    try:
        with dg.DagsterInstance.from_config(str(home.home)) as instance, Client.open() as client:
            runs = [launch(book, {"number": n}, instance=instance, client=client) for n in range(count)]
            home.dagster("daemon")
            finished = dg.RunsFilter(statuses=[dg.DagsterRunStatus(s) for s in ("SUCCESS", "FAILURE", "CANCELED")])
            home.until(lambda: instance.get_runs_count(finished) == count, f"{count} runs", seconds)
            assert {r.run_id for r in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))} == {r.run for r in runs}
            assert {str(e.status) for e in client.list()} == {"succeeded"}
            assert len(client.list()) == count
        assert sorted(map(int, far.read_text().split())) == list(range(count))
    finally:
        home.stop()


def test_runs_queued_at_once_all_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(tmp_path, monkeypatch, 8, 240)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_runs_queued_at_once_all_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(tmp_path, monkeypatch, 200, 3500)

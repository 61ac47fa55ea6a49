"""Schedules, automation, freshness and backfills by the daemon's own code, one iteration at a time, on a clock that the test moves.

Runs stay in the queue until the test lets them be executed: in this process, with real kernels; what they did is counted in a file.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from dagster._core.definitions.asset_selection import AssetSelection  # noqa: E402
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill  # noqa: E402
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time  # noqa: E402
from dagster._core.workspace.load_target import PythonFileTarget  # noqa: E402
from dagster._daemon.asset_daemon import AssetDaemon  # noqa: E402
from dagster._daemon.backfill import execute_backfill_iteration  # noqa: E402
from dagster._daemon.freshness import FreshnessDaemon  # noqa: E402
from dagster._scheduler.scheduler import launch_scheduled_runs  # noqa: E402

from holdfast.testing.sandbox import Sandbox  # noqa: E402
from holdfast_dagster.launching import launch  # noqa: E402

SETTINGS = """\
telemetry: {enabled: false}
run_launcher: {module: dagster._core.launcher.sync_in_memory_run_launcher, class: SyncInMemoryRunLauncher}
"""
DEFINITIONS = """\
from pathlib import Path
from holdfast_dagster import build_definitions

defs = build_definitions(Path(__file__).parent / "runbooks")
"""
NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)  # a Monday
HOURLY, ONCE = "0 * * * *", "0 15 2 3 *"
HOUR = timedelta(hours=1)
OVERLAPS = ("skip", "replace", "allow", "queue")
TOLD = "import json\nwith open('{file}', 'a') as f:\n    print(json.dumps({what}), file=f)"


class Daemon:
    """An instance, a code server, and the daemon's iterations."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox = folder, sandbox
        (folder / "runbooks").mkdir()
        (folder / "home").mkdir()
        (folder / "home" / "dagster.yaml").write_text(SETTINGS)
        (folder / "defs.py").write_text(DEFINITIONS)
        self.times: dict[str, Any] = {}
        self.futures: dict[Any, Any] = {}
        self.log = logging.getLogger("test")

    def runbook(self, name: str, what: str, *, tag: str = "step:work", parameter: str = "", **metadata: Any) -> None:
        """One that writes the value of ``what`` into a file of its name."""
        cells = [("parameters", f"{parameter}: str")] if parameter else []
        made = self.sandbox.notebook(name, [*cells, (tag, TOLD.format(file=self.folder / f"{name}.told", what=what))], **metadata)
        made.rename(self.folder / "runbooks" / made.name)

    def told(self, name: str) -> list[Any]:
        """What the runbook wrote, in order."""
        place = self.folder / f"{name}.told"
        return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []

    def load(self) -> Iterator[None]:
        target = PythonFileTarget(str(self.folder / "defs.py"), attribute=None, working_directory=str(self.folder), location_name="here")
        with (
            dg.DagsterInstance.from_config(str(self.folder / "home")) as self.instance,
            create_test_daemon_workspace_context(target, self.instance) as self.workspace,
        ):
            (entry,) = self.workspace.create_request_context().get_code_location_entries().values()
            assert entry.code_location is not None, entry.load_error
            self.repository: Any = next(iter(entry.code_location.get_repositories().values()))
            yield

    def tick(self, at: datetime) -> None:
        """Schedules."""
        with freeze_time(at):
            errors = [e for e in launch_scheduled_runs(self.workspace, self.log, at, self.times) if e is not None]
        assert not errors, errors

    def backfill(self) -> None:
        assert not [e for e in execute_backfill_iteration(self.workspace, self.log) if e is not None]

    def automate(self, at: datetime) -> None:
        """Declarative automation."""
        with freeze_time(at):
            AssetDaemon(settings={}, pre_sensor_interval_seconds=30)._run_iteration_impl(self.workspace, None, self.futures, {})

    def fresh(self, at: datetime, asset: str) -> str:
        """The freshness of an asset."""
        with freeze_time(at):
            list(FreshnessDaemon().run_iteration(self.workspace))
        key = dg.AssetKey(asset)
        return str(self.instance.get_freshness_state_records([key])[key].freshness_state.value)

    def queued(self, name: str) -> list[Any]:
        """The runs of a runbook that nobody has executed yet, the oldest first."""
        filters = dg.RunsFilter(job_name=name, statuses=[dg.DagsterRunStatus.QUEUED])
        return list(reversed(self.instance.get_runs(filters=filters)))

    def end(self, name: str) -> int:
        """End them without executing them; how many they were."""
        runs = self.queued(name)
        for run in runs:
            self.instance.run_coordinator.cancel_run(run.run_id)
        return len(runs)

    def work(self) -> None:
        """Execute all that is queued."""
        for run in reversed(self.instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))):
            self.instance.launch_run(run.run_id, self.workspace.create_request_context())

    def ticks(self, schedule: str) -> list[tuple[str, str]]:
        """Status and reason, the oldest first."""
        (state,) = [s for s in self.instance.all_instigator_state() if s.instigator_name == schedule]
        found = self.instance.get_ticks(state.instigator_origin_id, state.selector_id)
        return [(t.status.value, t.skip_reason or "") for t in reversed(found)]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    sandbox = Sandbox(folder)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in sandbox.environment.items():
            if name.startswith("HOLDFAST_"):
                patched.setenv(name, value)
        patched.setenv("DAGSTER_HOME", str(folder / "home"))
        patched.chdir(folder)
        made = Daemon(folder, sandbox)
        for overlap in OVERLAPS:
            made.runbook(f"on_{overlap}", "1", schedule={"cron": HOURLY, "overlap": overlap})
        for name, kind, start, clock in (
            ("hourly_skip", "hourly", "2026-03-02T00:00", {"cron": HOURLY}),
            ("hourly_queue", "hourly", "2026-03-02T00:00", {"cron": HOURLY, "overlap": "queue"}),
            ("daily", "daily", "2026-02-01", {"cron": ONCE}),
            ("weekly", "weekly", "2026-02-01", {"cron": ONCE}),
            ("monthly", "monthly", "2026-01-01", {"cron": ONCE}),
        ):
            slices = {"type": kind, "start": start, "parameter": "slice"}
            made.runbook(name, "slice", parameter="slice", partitions=slices, schedule=clock)
        regions = {"type": "static", "values": ["eu", "us"], "parameter": "region"}
        made.runbook("static", "region", parameter="region", partitions=regions, schedule={"cron": ONCE})
        days = {"type": "daily", "start": "2026-02-25", "end": "2026-03-01", "parameter": "day"}
        made.runbook("filled", "day", tag="asset:filled", parameter="day", partitions=days)
        made.runbook("incidents", "id", tag="asset:incidents", parameter="id", partitions={"type": "dynamic", "parameter": "id"})
        made.runbook("raw", "1", tag="asset:raw", freshness={"fail": 7200, "warn": 3600})
        made.runbook("bill", "1", tag="asset:bill", automation="eager")
        path = folder / "runbooks" / "bill.ipynb"
        document = json.loads(path.read_text())
        document["cells"][0]["metadata"]["holdfast"] = {"deps": "raw"}
        path.write_text(json.dumps(document))
        yield from ((made) for _ in made.load())


def test_of_missed_ticks_the_latest_is_executed_and_overlap_decides_about_the_next(daemon: Daemon) -> None:
    daemon.tick(NOON - 3 * HOUR)  # the schedules are seen for the first time: nothing before counts as missed
    assert [daemon.queued(f"on_{overlap}") for overlap in OVERLAPS] == [[], [], [], []]
    daemon.tick(NOON + 3 * HOUR)  # the daemon was away for six ticks
    first = {overlap: daemon.queued(f"on_{overlap}") for overlap in OVERLAPS}
    assert [len(runs) for runs in first.values()] == [1, 1, 1, 1]
    assert daemon.ticks("on_allow__schedule") == [("SUCCESS", "")]
    daemon.tick(NOON + 3 * HOUR + timedelta(minutes=10))
    daemon.tick(NOON + 4 * HOUR)  # the first ones have not ended
    queued = {overlap: [run.run_id for run in daemon.queued(f"on_{overlap}")] for overlap in OVERLAPS}
    assert [len(runs) for runs in queued.values()] == [1, 1, 2, 2]
    assert queued["skip"] == [first["skip"][0].run_id]
    assert queued["replace"] != [first["replace"][0].run_id]
    assert [status for status, _ in daemon.ticks("on_skip__schedule")] == ["SUCCESS", "SKIPPED"]
    assert {run.tags.get("holdfast/in_turn") for run in daemon.queued("on_queue")} == {"on_queue__schedule"}
    for overlap in OVERLAPS:
        daemon.end(f"on_{overlap}")


def test_a_tick_executes_the_slice_that_is_over(daemon: Daemon) -> None:
    """After the ticks of the test above: at 15 and at 16 o'clock."""
    slices = {
        "hourly_skip": ["2026-03-02-14:00"],
        "hourly_queue": ["2026-03-02-14:00", "2026-03-02-15:00"],
        "daily": ["2026-03-01"],
        "weekly": ["2026-02-22"],
        "monthly": ["2026-02-01"],
        "static": ["eu", "us"],
    }
    assert {name: [run.tags["dagster/partition"] for run in daemon.queued(name)] for name in slices} == slices
    assert "backfill what is left out: 2026-03-02-15:00" in daemon.ticks("hourly_skip__schedule")[1][1]
    for name in ("hourly_queue", "hourly_skip", "daily", "weekly", "static"):
        daemon.end(name)
    daemon.work()
    assert daemon.told("monthly") == slices["monthly"]


def test_a_backfill_executes_each_slice_once(daemon: Daemon) -> None:
    graph = daemon.workspace.create_request_context().asset_graph
    keys = sorted(AssetSelection.assets("filled", "executed_notebook/filled").resolve(graph))
    days = ["2026-02-25", "2026-02-26"]
    backfill = PartitionBackfill.from_asset_partitions(
        "fill", graph, days, keys, NOON.timestamp(), {}, daemon.instance, False, None, None, None
    )
    daemon.instance.add_backfill(backfill)
    for _ in range(10):
        daemon.backfill()
        daemon.work()
        if (status := daemon.instance.get_backfill("fill").status) != BulkActionStatus.REQUESTED:
            break
    assert status == BulkActionStatus.COMPLETED_SUCCESS
    assert sorted(daemon.told("filled")) == days
    assert daemon.instance.get_materialized_partitions(dg.AssetKey("filled")) == set(days)


def test_a_launch_from_outside_is_a_run_of_its_partition(daemon: Daemon) -> None:
    for name, parameter, value in (("filled", "day", "2026-02-27"), ("incidents", "id", "INC-7"), ("incidents", "id", "INC-8")):
        launch(daemon.folder / "runbooks" / f"{name}.ipynb", {parameter: value}, instance=daemon.instance)
    assert daemon.instance.get_dynamic_partitions("incidents") == ["INC-7", "INC-8"]
    daemon.work()
    assert daemon.told("incidents") == ["INC-7", "INC-8"]
    assert daemon.instance.get_materialized_partitions(dg.AssetKey("incidents")) == {"INC-7", "INC-8"}
    assert "2026-02-27" in daemon.instance.get_materialized_partitions(dg.AssetKey("filled"))


def test_an_eager_asset_is_made_after_the_one_it_is_made_from_and_age_is_told(daemon: Daemon) -> None:
    (sensor,) = [s for s in daemon.repository.get_sensors() if s.name == "default_automation_condition_sensor"]
    daemon.instance.start_sensor(sensor)
    now = datetime.now(UTC)
    daemon.automate(now)
    daemon.work()
    assert daemon.told("bill") == [], "nothing is there to make it from"
    launch(daemon.folder / "runbooks" / "raw.ipynb", instance=daemon.instance)
    daemon.work()
    assert daemon.told("raw") == [1]
    for minutes in (1, 2):  # the second time, nothing is new
        daemon.automate(now + timedelta(minutes=minutes))
        daemon.work()
        assert daemon.told("bill") == [1]
    assert [daemon.fresh(now + late * HOUR, "raw") for late in (0.5, 1.5, 2.5)] == ["PASS", "WARN", "FAIL"]

"""The daemon is killed in the middle of a schedule's tick: the tick is neither lost nor done twice, whatever ``overlap`` says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from holdfast.testing.sandbox import Sandbox  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SETTINGS = """\
telemetry: {enabled: false}
run_launcher: {module: dagster._core.launcher.sync_in_memory_run_launcher, class: SyncInMemoryRunLauncher}
"""
DEFINITIONS = """\
from pathlib import Path
from holdfast_dagster import build_definitions

defs = build_definitions(Path(__file__).parent / "runbooks")
"""
#: One look of the daemon's scheduler at a given time; it kills itself where Dagster's own tests do.
LOOK = """\
import json, logging, sys
from datetime import datetime
import dagster as dg
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._scheduler.scheduler import launch_scheduled_runs
folder, at, flags = sys.argv[1], datetime.fromisoformat(sys.argv[2]), json.loads(sys.argv[3])
target = PythonFileTarget(folder + "/defs.py", attribute=None, working_directory=folder, location_name="here")
with dg.DagsterInstance.from_config(folder + "/home") as instance, create_test_daemon_workspace_context(target, instance) as workspace:
    with freeze_time(at):
        errors = [e for e in launch_scheduled_runs(workspace, logging.getLogger("t"), at, {}, debug_crash_flags=flags) if e is not None]
    assert not errors, errors
"""
NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
REGIONS = ("eu", "us")


@pytest.mark.parametrize("overlap", ["skip", "replace"])
def test_a_tick_is_neither_lost_nor_done_twice(overlap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(tmp_path)
    for name, value in sandbox.environment.items():
        if name.startswith("HOLDFAST_"):
            monkeypatch.setenv(name, value)
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text(SETTINGS)
    (tmp_path / "defs.py").write_text(DEFINITIONS)
    slices = {"type": "static", "values": list(REGIONS), "parameter": "region"}
    clock = {"cron": "0 * * * *", "overlap": overlap}
    made = sandbox.notebook("book", [("parameters", "region: str"), ("step:a", "region")], schedule=clock, partitions=slices)
    made.rename(tmp_path / "runbooks" / made.name)

    def look(at: datetime, point: str | None) -> int:
        flags = {"book__schedule": {point: int(signal.SIGKILL)}} if point else {}
        command = [sys.executable, "-c", LOOK, str(tmp_path), at.isoformat(), json.dumps(flags)]
        return subprocess.run(command, env={**os.environ, **sandbox.environment}, cwd=tmp_path, check=False, timeout=240).returncode

    assert look(NOON, None) == 0  # seen for the first time
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        points = ("TICK_HELD", "RUN_CREATED", "RUN_LAUNCHED", "TICK_SUCCESS")
        for number, point in enumerate(points, 1):
            at = NOON + timedelta(hours=number)
            assert look(at, point) == -signal.SIGKILL, f"not killed at {point}"
            assert look(at + timedelta(minutes=2), None) == 0
            runs = [r for r in instance.get_runs() if not r.is_finished]
            assert sorted(r.tags["dagster/partition"] for r in runs) == list(REGIONS), point
            assert {r.status.value for r in runs} == {"QUEUED"}, point
            assert len(instance.get_runs()) == number * len(REGIONS), f"{point}: none was replaced"
            for run in runs:
                instance.run_coordinator.cancel_run(run.run_id)
        (state,) = [s for s in instance.all_instigator_state() if s.instigator_name == "book__schedule"]
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
        assert [t.status.value for t in ticks] == ["SUCCESS"] * len(points)

"""The shipped examples, each by `holdfast run` and by Dagster, with what they did counted in their folder and in the journal."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.testing.sandbox import Sandbox  # noqa: E402
from holdfast_dagster.launching import launch  # noqa: E402

EXAMPLES = Path(__file__).parents[2] / "runbooks" / "examples"
DAY = "2026-11-16"
ONCE = {f"restart(worker='worker-{n}')": 1 for n in (1, 2, 3)}
SETTINGS = """\
telemetry: {enabled: false}
run_launcher: {module: dagster._core.launcher.sync_in_memory_run_launcher, class: SyncInMemoryRunLauncher}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
"""


class World:
    """The examples in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.sandbox, self.runbooks = Sandbox(folder), folder / "runbooks"
        shutil.copytree(EXAMPLES, self.runbooks, ignore=shutil.ignore_patterns("shop-data"))
        self.shop = self.runbooks / "shop-data"

    def writes(self, execution: str) -> Counter[str]:
        """What was begun that changes something, each attempt counted."""
        return Counter(str(e.data["operation"]) for e in self.sandbox.entries(execution) if e.kind == "call.intent")

    def run(self, name: str, *given: str, status: int = 0) -> str:
        """By `holdfast run`; the execution's id."""
        words = [word for one in given for word in ("-p", *one.split("=", 1))]
        done = self.sandbox.holdfast("run", self.runbooks / f"{name}.ipynb", "--json", *words)
        assert done.status == status, done.err
        return str(done.json["id"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Any]]:
    folder = tmp_path_factory.mktemp("by_dagster")
    world = World(folder)
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text(SETTINGS)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in world.sandbox.environment.items():
            if name.startswith("HOLDFAST_"):
                patched.setenv(name, value)
        patched.setenv("DAGSTER_HOME", str(folder / "home"))
        patched.chdir(folder)
        with dg.DagsterInstance.from_config(str(folder / "home")) as instance, Client.open() as client:

            def launched(name: str, parameters: dict[str, Any]) -> tuple[str, Any]:
                done = launch(world.runbooks / f"{name}.ipynb", parameters, key=name, instance=instance, client=client)
                again = launch(world.runbooks / f"{name}.ipynb", parameters, key=name, instance=instance, client=client)
                assert (again.run, again.new) == (done.run, False)
                return done.execution, instance.get_run_by_id(done.run)

            world.instance, world.launched = instance, launched  # type: ignore[attr-defined]
            yield world, launched


def test_check_host_by_hand(world: World) -> None:
    id = world.run("check-host", "min_free_percent=0", "max_load=1000")
    assert not world.writes(id)
    assert "problems: none" in world.sandbox.holdfast("export", id, "--format", "md").out


def test_restart_workers_by_hand_asks_and_goes_on_without_a_second_restart(world: World) -> None:
    id = world.run("restart-workers", status=3)
    assert world.writes(id) == ONCE
    (prompt,) = world.sandbox.holdfast("prompts", "--json").json
    assert (prompt["execution"], prompt["step"]) == (id, "verify")
    (world.shop / "worker-2").write_text("working")
    assert world.sandbox.holdfast("answer", prompt["id"], "run").status == 0
    assert world.sandbox.holdfast("resume", id).status == 0
    assert world.writes(id) == ONCE
    world.sandbox.assert_laws(id)


def test_requests_are_counted_and_reported_by_hand(world: World) -> None:
    id = world.run("count-requests", f"day={DAY}")
    assert sum(world.writes(id).values()) == 1
    rows = json.loads((world.shop / f"requests-{DAY}.json").read_text())
    assert len(rows) == 24
    assert not world.writes(world.run("report-errors", f"day={DAY}"))
    world.run("report-errors", "day=2026-11-02", status=1)  # that day has not been counted


def test_all_by_dagster(dagster: tuple[World, Any]) -> None:
    world, launched = dagster
    id, run = launched("check-host", {"min_free_percent": 0, "max_load": 1000.0})
    assert run.status == dg.DagsterRunStatus.SUCCESS
    id, run = launched("restart-workers", {"stubborn": ""})
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert world.writes(id) == ONCE
    assert {one.name: one.read_text() for one in world.shop.iterdir()} == dict.fromkeys(["worker-1", "worker-2", "worker-3"], "working")
    id, run = launched("count-requests", {"day": DAY})
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert sum(world.writes(id).values()) == 1
    id, run = launched("report-errors", {"day": DAY})
    assert run.status == dg.DagsterRunStatus.SUCCESS
    instance = world.instance  # type: ignore[attr-defined]
    for key in (["shop", "requests"], ["shop", "error_report"]):
        assert instance.get_latest_materialization_event(dg.AssetKey(key)) is not None, key

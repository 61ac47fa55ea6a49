"""A runbook that is moved, deleted, edited or broken while its execution waits: the run goes on with the text it was started with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: E402

from holdfast.client import Client  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast_dagster.launching import launch  # noqa: E402
from holdfast_dagster.resuming import resume_due  # noqa: E402

SETTINGS = """\
telemetry: {enabled: false}
run_launcher: {module: holdfast_dagster.launcher, class: HoldfastRunLauncher}
run_monitoring: {enabled: true, poll_interval_seconds: 1, max_resume_run_attempts: 1000, free_slots_after_run_end_seconds: 60}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
"""
DEFINITIONS = """\
from pathlib import Path
from holdfast_dagster import build_definitions

defs = build_definitions(Path(__file__).parent / "runbooks")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterHome]:
    made = DagsterHome(tmp_path, environment={"HOLDFAST_HOLD_FOR": "0"})
    (made.home / "dagster.yaml").write_text(SETTINGS)
    (tmp_path / "defs.py").write_text(DEFINITIONS)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield made
    made.stop()


def test_a_run_goes_on_with_the_notebook_it_was_started_with(home: DagsterHome) -> None:
    far = home.folder / "far.txt"
    paths = {
        name: home.runbook(
            name,
            [
                ("step:one", f"!echo {name} one >> {far}"),
                ("step:ask", "from holdfast import confirm\nconfirm('go on?')"),
                ("step:after", f"!echo {name} after >> {far}"),
            ],
        )
        for name in ("deleted", "shorter", "served")
    }
    with dg.DagsterInstance.from_config(str(home.home)) as instance, Client.open() as client:
        runs = {name: launch(paths[name], instance=instance, client=client).run for name in ("deleted", "shorter")}
        repository = ReconstructableRepository.for_file(str(home.folder / "defs.py"), "defs", str(home.folder))
        job = repository.get_reconstructable_job("served")
        tags = job.get_definition().run_tags
        shown = instance.get_run_by_id(runs["deleted"]).remote_job_origin
        made = instance.create_run_for_job(
            job_def=job.get_definition(), job_code_origin=job.get_python_origin(), remote_job_origin=shown, tags=tags
        )
        runs["served"] = made.run_id
        instance.launch_run(made.run_id, workspace=None)

        def all_are(status: str) -> bool:
            return all(instance.get_run_by_id(run).status.value == status for run in runs.values())

        home.until(lambda: all_are("SUSPENDED"), "the questions", 180)
        paths["deleted"].unlink()
        document = json.loads(paths["shorter"].read_text())
        paths["shorter"].write_text(json.dumps({**document, "cells": document["cells"][:1]}))
        paths["served"].write_text("{nonsense")
        for prompt in client.prompts():
            client.answer(prompt.id, "yes")

        def through() -> bool:
            resume_due(instance, client, by="test")
            return all_are("SUCCESS")

        home.until(through, "the ends", 180)
        assert instance.get_runs_count() == len(runs), "in the same runs"
    assert sorted(far.read_text().splitlines()) == sorted(f"{name} {step}" for name in paths for step in ("one", "after"))

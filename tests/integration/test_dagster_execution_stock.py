"""An instance as Dagster makes it, which cannot suspend runs: waiting steps are left to a further run, on public API only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: E402

from holdfast.client import Client  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast.testing.servers.counting import CountingServer  # noqa: E402


def test_a_waiting_step_is_skipped_over_and_a_further_run_continues_the_execution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast_dagster.capability import capability
    from holdfast_dagster.resuming import resume_due

    home = DagsterHome(tmp_path, native=False, environment={"HOLDFAST_RETRY_COUNT": "1", "HOLDFAST_RETRY_DELAY": "0"})
    module = "dagster._core.launcher.sync_in_memory_run_launcher"  # Dagster's own for tests: in this process, and it resumes nothing
    (home.home / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nrun_launcher: {{module: {module}, class: SyncInMemoryRunLauncher}}\n"
    )
    for name, value in home.environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "effects"
    with CountingServer(tmp_path) as server:
        url = server.url
    before = f"open({str(log)!r}, 'a').write('before\\n')\nx = 40"
    post = f"import urllib.request\nurllib.request.urlopen('{url}/order', data=b'one')"
    home.runbook("asks", [("step:before", before), ("step:post", post), ("step:after", f"open({str(log)!r}, 'a').write(f'{{x + 2}}\\n')")])
    instance = dg.DagsterInstance.from_config(str(home.home))
    assert capability(instance).mode == "continuation"
    job = ReconstructableRepository.for_file(str(tmp_path / "defs.py"), "defs", str(tmp_path)).get_reconstructable_job("asks")
    run = instance.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
    instance.launch_run(run.run_id, None)
    first = instance.get_run_by_id(run.run_id)
    skipped = [e.step_key for e in (r.dagster_event for r in instance.all_logs(run.run_id)) if e is not None and e.is_step_skipped]
    assert (first.status.value, skipped) == ("SUCCESS", ["after"])
    with Client.open() as client:
        (prompt,) = client.prompts()
        client.answer(prompt.id, "skip")
        (again,) = resume_due(instance, client)
        assert resume_due(instance, client) == []
        second = instance.get_run_by_id(again)
        assert again != run.run_id
        assert second.status.value == "SUCCESS"
        assert second.tags["holdfast/execution_id"] == first.tags["holdfast/execution_id"]
        assert client.get(first.tags["holdfast/execution_id"]).status == "succeeded"
    assert log.read_text().split() == ["before", "42"]
    instance.dispose()

"""SIGKILL of run worker, kernel, daemon, and all together: the same run continues, and each effect is made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

dg = pytest.importorskip("dagster")

from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: E402

from holdfast.client import Client  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast.testing.servers.counting import CountingServer  # noqa: E402


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterHome]:
    """A Dagster home with an instance that can suspend runs."""
    made = DagsterHome(tmp_path)
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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CountingServer]:
    """The far side."""
    with CountingServer(tmp_path) as made:
        yield made


def runbook(home: DagsterHome, url: str) -> Path:
    """A runbook that is killed in its second step, after the effect of it and before its end."""
    post = "import urllib.request\nurllib.request.urlopen('{}', data=b'1').read()\n"
    there, go = str(home.folder / "reached"), str(home.folder / "go")
    wait = f"import os, time\nopen({there!r}, 'a').write('x')\nwhile not os.path.exists({go!r}): time.sleep(0.05)"
    return home.runbook(
        "kills",
        [
            ("step:first", post.format(f"{url}/first") + "x = [1]"),
            ("step:second", post.format(f"{url}/second") + wait),
            ("step:third", post.format(f"{url}/third") + "x.append(3)\nx"),
        ],
    )


def launched(instance: Any, home: DagsterHome) -> Any:
    """A run of it, launched."""
    job = ReconstructableRepository.for_file(str(home.folder / "defs.py"), "defs", str(home.folder)).get_reconstructable_job("kills")
    run = instance.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
    instance.launch_run(run.run_id, None)
    return run


def reached(home: DagsterHome, times: int) -> None:
    """Wait until the second step stands behind its effect, for the nth time."""
    place = home.folder / "reached"
    home.until(lambda: place.exists() and len(place.read_text()) >= times, "the second step")


def worker(instance: Any, run_id: str) -> psutil.Process:
    """The worker of a run."""
    tag = instance.get_run_by_id(run_id).tags[".dagster/holdfast_worker"]
    return psutil.Process(int(tag.partition("/")[0].rpartition(":")[2]))


def assert_ended_well(instance: Any, home: DagsterHome, run_id: str, server: CountingServer) -> None:
    """One run, each effect once, the state of the uninterrupted execution."""
    home.until(lambda: instance.get_run_by_id(run_id).is_finished, "the end")
    run = instance.get_run_by_id(run_id)
    assert run.status.value == "SUCCESS", (home.home / "holdfast" / f"{run_id}.log").read_text()[-3000:]
    assert [r.run_id for r in instance.get_runs()] == [run_id]
    assert [r["path"] for r in server.requests("POST")] == ["/first", "/second", "/third"]
    outputs = [e.dagster_event for e in instance.all_logs(run_id) if e.dagster_event and e.dagster_event.is_successful_output]
    assert [e.step_key for e in outputs] == ["first", "second", "third"]
    assert outputs[-1].step_output_data.metadata["result"].value == "[1, 3]"
    home.assert_laws(run.tags["holdfast/execution_id"])


def test_a_killed_worker_is_replaced_and_a_killed_kernel_is_too(home: DagsterHome, server: CountingServer) -> None:
    from holdfast_dagster.recovery import lost_runs, recover_runs

    runbook(home, server.url)
    instance = dg.DagsterInstance.from_config(str(home.home))
    run = launched(instance, home)
    reached(home, 1)
    (kernel,) = home.kernels(worker(instance, run.run_id).pid)
    os.kill(kernel, signal.SIGKILL)  # the worker makes another one and goes on
    reached(home, 2)
    with Client.open() as client:
        assert lost_runs(instance, client) == []
    victim = worker(instance, run.run_id)
    victim.kill()
    with Client.open() as client:
        home.until(lambda: [r.run_id for r in lost_runs(instance, client)] == [run.run_id], "the loss to be seen")
        assert recover_runs(instance, client) == [run.run_id]
        assert recover_runs(instance, client) == []  # it has a worker again
    reached(home, 3)
    (home.folder / "go").touch()
    assert_ended_well(instance, home, run.run_id, server)
    instance.dispose()


def test_everything_killed_at_once_the_daemon_alone_brings_the_run_to_its_end(home: DagsterHome, server: CountingServer) -> None:
    book = runbook(home, server.url)
    instance = dg.DagsterInstance.from_config(str(home.home))
    services = [home.dagster("daemon"), home.dagster("webserver", "-p", "0"), home.dagster("code", "-p", "0")]
    run_id = home.holdfast("launch", book, "--json").json["run"]
    reached(home, 1)
    process = worker(instance, run_id)
    for victim in [*(psutil.Process(k) for k in home.kernels(process.pid)), process]:
        victim.kill()
    for service in services:
        home.cut(service)
    assert instance.get_run_by_id(run_id).status.value == "STARTED"
    (home.folder / "go").touch()
    home.dagster("daemon")
    assert_ended_well(instance, home, run_id, server)
    instance.dispose()


def test_a_worker_lost_under_a_launcher_that_cannot_resume_is_reported_and_replaced_by_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: CountingServer
) -> None:
    from dagster._grpc.types import ExecuteRunArgs

    from holdfast_dagster.recovery import lost_runs, recover_runs

    home = DagsterHome(tmp_path, native=False)
    module = "dagster._core.launcher.sync_in_memory_run_launcher"  # Dagster's own for tests: in this process, and it resumes nothing
    launcher = f"run_launcher: {{module: {module}, class: SyncInMemoryRunLauncher}}"
    (home.home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{launcher}\n")
    for name, value in home.environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    runbook(home, server.url)
    with dg.DagsterInstance.from_config(str(home.home)) as instance, Client.open() as client:
        job = ReconstructableRepository.for_file(str(tmp_path / "defs.py"), "defs", str(tmp_path)).get_reconstructable_job("kills")
        run = instance.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
        arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, instance.get_ref(), None).get_command_args()
        command = [sys.executable, "-m", "dagster", *arguments[arguments.index("api") :]]
        stock = subprocess.Popen(command, env=home.environment, cwd=tmp_path)
        reached(home, 1)
        assert lost_runs(instance, client) == []
        stock.kill()
        stock.wait()
        (home.folder / "go").touch()
        (again,) = recover_runs(instance, client)
        assert recover_runs(instance, client) == []
        first, second = instance.get_run_by_id(run.run_id), instance.get_run_by_id(again)
        assert (first.status.value, second.status.value) == ("FAILURE", "SUCCESS")
        assert "is gone" in "".join(e.message for e in instance.all_logs(run.run_id))
        assert second.tags["holdfast/execution_id"] == first.tags["holdfast/execution_id"]
    assert [r["path"] for r in server.requests("POST")] == ["/first", "/second", "/third"]

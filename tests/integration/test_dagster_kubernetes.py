"""Dagster's own launcher and executor for Kubernetes, with Dagster's storage and the journal on PostgreSQL: pods that are deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

dg = pytest.importorskip("dagster")
pytest.importorskip("dagster_k8s")
pytest.importorskip("dagster_postgres")

from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: E402

from holdfast.client import Client  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast.testing.postgres import PostgresServer  # noqa: E402
from holdfast.testing.servers.cluster import Cluster, Pod  # noqa: E402
from holdfast.testing.servers.counting import CountingServer  # noqa: E402

DEFINITIONS = """\
from pathlib import Path
import dagster as dg
from dagster_k8s import k8s_job_executor
from holdfast_dagster import build_definitions

HERE = Path(__file__).parent
spread = build_definitions(HERE / "runbooks" / "spread.ipynb", executor=k8s_job_executor, sensors=False)
together = build_definitions(HERE / "runbooks" / "together.ipynb", share_executor=False)
defs = dg.Definitions(
    jobs=[*spread.jobs, *together.jobs], sensors=together.sensors, resources=together.resources, executor=spread.executor
)
"""


class House:
    """A cluster, what runs beside it, and what a test asks of them."""

    def __init__(self, home: DagsterHome, cluster: Cluster, far: CountingServer) -> None:
        self.home, self.cluster, self.far = home, cluster, far
        self.instance = dg.DagsterInstance.from_config(str(home.home))

    def launch(self, job: str) -> str:
        """Launch a run through the K8sRunLauncher; its id."""
        found = ReconstructableRepository.for_file(str(self.home.folder / "defs.py"), "defs", str(self.home.folder))
        again = found.get_reconstructable_job(job)
        run = self.instance.create_run_for_job(again.get_definition(), job_code_origin=again.get_python_origin())
        self.instance.launch_run(run.run_id, None)
        return str(run.run_id)

    def stands(self, name: str, times: int = 1) -> None:
        """Wait until a cell stands behind its effect for the nth time."""
        place = self.home.folder / f"at-{name}"
        self.until(lambda: place.exists() and len(place.read_text()) >= times, f"{name}, {times}")

    def until(self, what: Any, text: str) -> None:
        """Poll; on failure, what the pods said."""
        try:
            self.home.until(what, text, 240)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.cluster.log()}") from error

    def ended(self, id: str) -> None:
        """The run has succeeded, in one execution, and the laws hold."""
        self.until(lambda: self.instance.get_run_by_id(id).is_finished, "the end")
        run = self.instance.get_run_by_id(id)
        said = [f"{e.step_key}: {e.message or e.user_message}" for e in self.instance.all_logs(id)]
        assert run.status.value == "SUCCESS", "\n".join(said) + self.cluster.log()
        with Client.open() as client:
            assert client.get(run.tags["holdfast/execution_id"]).status == "succeeded"
        self.home.assert_laws(run.tags["holdfast/execution_id"])

    def pod(self, *words: str) -> Pod:
        """The latest pod whose job was made with all these labels or names."""
        found = [
            p
            for n, p in self.cluster.pods.items()
            if all(w in n or w in self.cluster.jobs[n]["metadata"]["labels"].values() for w in words)
        ]
        assert found, f"{words} of {list(self.cluster.pods)}"
        return found[-1]

    def effects(self, start: str) -> list[str]:
        """What the far side was asked for, sorted."""
        return sorted(r["path"] for r in self.far.requests("POST") if r["path"].startswith(start))


def _settings(home: Path, url: str, kubeconfig: Path, environment: dict[str, str]) -> None:
    launcher = {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {
            "service_account_name": "holdfast",
            "job_image": "holdfast",
            "instance_config_map": "holdfast-instance",
            "dagster_home": str(home),
            "load_incluster_config": False,
            "kubeconfig_file": str(kubeconfig),
            "env_vars": [f"{k}={v}" for k, v in environment.items()],
        },
    }
    settings = {
        "telemetry": {"enabled": False},
        "storage": {"postgres": {"postgres_url": url.replace("postgresql://", "postgresql+psycopg2://")}},
        "run_launcher": launcher,
        "run_monitoring": {"enabled": True, "poll_interval_seconds": 2, "max_resume_run_attempts": 1000},
        "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "DefaultRunCoordinator"},
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("cluster")
    with pytest.MonkeyPatch.context() as patch, CountingServer(tmp_path_factory.mktemp("far")) as far:
        journal, dagster = (postgres_server.create_database() for _ in range(2))
        port = urlsplit(far.url).port
        assert port is not None
        home = DagsterHome(folder)
        base = {k: v for k, v in home.environment.items() if not k.startswith("HOLDFAST_")} | {"DAGSTER_HOME": str(home.home)}
        with Cluster(folder, base, (postgres_server.port, port)) as cluster:
            given = {"HOLDFAST_JOURNAL": journal.replace("127.0.0.1", cluster.host), "HOLDFAST_LEASE_TTL": "6"}
            given["HOLDFAST_KEY_FILE"] = home.environment["HOLDFAST_KEY_FILE"]
            home.environment.update(given)
            home.journal = given["HOLDFAST_JOURNAL"]
            _settings(home.home, dagster.replace("127.0.0.1", cluster.host), cluster.kubeconfig, given)
            for name, value in home.environment.items():
                if os.environ.get(name) != value:
                    patch.setenv(name, value)
            patch.chdir(folder)
            (folder / "defs.py").write_text(DEFINITIONS)
            _runbooks(home, f"http://{cluster.host}:{port}")
            made = House(home, cluster, far)
            home.dagster("daemon")
            yield made
            home.stop()
            made.instance.dispose()


def _runbooks(home: DagsterHome, url: str) -> None:
    def post(path: str) -> str:
        return f"import urllib.request\nurllib.request.urlopen('{url}/{path}', data=b'1').read()\n"

    def stand(name: str) -> str:
        at, go = (str(home.folder / f"{word}-{name}") for word in ("at", "go"))
        return f"import os, time\nopen({at!r}, 'a').write('x')\nwhile not os.path.exists({go!r}): time.sleep(0.05)\n"

    home.runbook(
        "together",
        [("step:first", post("together/first") + "x = [1]"), ("step:second", post("together/second") + stand("second") + "x.append(2)\nx")],
    )
    home.runbook(
        "spread",
        [
            ("step:left", post("spread/left") + stand("left"), {"after": []}),
            ("step:right", post("spread/right") + stand("right"), {"after": []}),
        ],
    )


def test_a_deleted_run_pod_is_replaced_by_another_job_that_goes_on(house: House) -> None:
    id = house.launch("together")
    house.stands("second")
    first = house.pod("run_worker", id)
    house.cluster.kill(first)
    house.stands("second", 2)
    assert house.pod("run_worker", id).job != first.job
    (house.home.folder / "go-second").touch()
    house.ended(id)
    assert house.effects("/together") == ["/together/first", "/together/second"]


def test_steps_run_in_pods_side_by_side_and_a_deleted_one_is_replaced(house: House) -> None:
    id = house.launch("spread")
    house.stands("left")
    house.stands("right")
    left = house.pod("step_worker", "left", id)
    house.cluster.kill(left)
    house.stands("left", 2)
    assert house.pod("step_worker", "left", id).job != left.job
    for name in ("go-left", "go-right"):
        (house.home.folder / name).touch()
    house.ended(id)
    assert house.effects("/spread") == ["/spread/left", "/spread/right"]
    assert (house.home.folder / "at-right").read_text() == "x"

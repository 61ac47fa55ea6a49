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
from holdfast_dagster.kubernetes import holdfast_k8s_executor

HERE = Path(__file__).parent / "runbooks"

def made():
    spread = build_definitions(HERE / "spread", executor=k8s_job_executor, sensors=False)
    patient = build_definitions(HERE / "patient", executor=holdfast_k8s_executor, share_executor=False, sensors=False)
    together = build_definitions(HERE / "together", share_executor=False)
    return dg.Definitions(
        jobs=[*spread.jobs, *patient.jobs, *together.jobs], sensors=together.sensors, resources=together.resources, executor=spread.executor
    )

defs = made()
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

    def status(self, id: str) -> str:
        """Of a run."""
        return str(self.instance.get_run_by_id(id).status.value)

    def latest_of(self, execution: str) -> str:
        """The latest run that works on an execution."""
        return str(self.instance.get_runs(filters=dg.RunsFilter(tags={"holdfast/execution_id": execution}), limit=1)[0].run_id)

    def made(self, id: str) -> list[str]:
        """The jobs that were made for a run: what each was to do, sorted."""
        labels = [j["metadata"]["labels"] for j in self.cluster.jobs.values()]
        return sorted(mine.get("dagster/op", "the run") for mine in labels if mine["dagster/run-id"] == id)

    def living(self) -> list[str]:
        """The pods that run."""
        return [p.job for p in self.cluster.pods.values() if p.phase == "Running"]

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
        "module": "holdfast_dagster.kubernetes",
        "class": "HoldfastK8sRunLauncher",
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
            given["HOLDFAST_HOLD_FOR"] = "0"
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

    def book(kind: str, name: str, cells: list[Any]) -> None:
        (home.runbooks / kind).mkdir(exist_ok=True)
        made = home.runbook(name, cells)
        made.rename(home.runbooks / kind / made.name)

    book(
        "together",
        "together",
        [("step:first", post("together/first") + "x = [1]"), ("step:second", post("together/second") + stand("second") + "x.append(2)\nx")],
    )
    book(
        "spread",
        "spread",
        [
            ("step:left", post("spread/left") + stand("left"), {"after": []}),
            ("step:right", post("spread/right") + stand("right"), {"after": []}),
        ],
    )
    book(
        "patient",
        "patient",
        [
            ("step:up", post("patient/up") + stand("up"), {"after": []}),
            ("step:down", post("patient/down") + stand("down"), {"after": []}),
        ],
    )
    confirm = "from holdfast import confirm\nconfirm('Go on?')\n"
    rest = "from holdfast import wait\nwait('4 s')\n"
    for kind in ("together", "spread"):
        for name, waits in ((f"asks_{kind}", confirm), (f"rests_{kind}", rest)):
            cells = [
                ("step:before", post(f"{name}/1") + "x = [1]"),
                ("step:waits", post(f"{name}/2") + waits + post(f"{name}/3") + stand(name)),
            ]
            book(kind, name, [*cells, ("step:after", post(f"{name}/4-{{len(x)}}").replace("'http", "f'http"))])


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


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["asks_together", "rests_together", "asks_spread", "rests_spread"])
def test_a_run_that_waits_has_no_pod_and_goes_on_in_others_whichever_of_them_are_deleted(house: House, name: str) -> None:
    """With one pod for the run it is suspended; with a pod per step, which no launcher can suspend, another run continues it."""
    first = house.launch(name)
    spread = name.endswith("spread")
    house.until(lambda: house.status(first) == ("SUCCESS" if spread else "SUSPENDED"), "the run to wait")
    house.until(lambda: not house.living(), "its pods to end")
    execution = house.instance.get_run_by_id(first).tags["holdfast/execution_id"]
    assert house.effects(f"/{name}") == [f"/{name}/1", f"/{name}/2"]
    if name.startswith("asks"):
        (prompt,) = house.home.holdfast("prompts", "--execution", execution, "--json").json
        assert house.home.holdfast("answer", prompt["id"], "yes").status == 0
    house.stands(name)
    second = house.latest_of(execution)
    assert (second != first) == spread
    for kind in ("step_worker", "run_worker") if spread else ("run_worker",):
        before = house.pod(kind, second)
        house.cluster.kill(before)
        house.until(lambda before=before, kind=kind: house.pod(kind, second).job != before.job, f"another {kind}")
        if kind == "step_worker" or not spread:
            house.stands(name, 2)
    (house.home.folder / f"go-{name}").touch()
    house.ended(second)
    assert house.effects(f"/{name}") == [f"/{name}/{n}" for n in ("1", "2", "3", "4-1")]
    house.until(lambda: not house.living(), "its pods to end")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["500", "429", "reset", "lost"])
def test_an_api_server_in_trouble_neither_fails_a_run_nor_gets_it_a_second_pod(house: House, what: str) -> None:
    for place in ("at-up", "at-down", "go-up", "go-down"):
        (house.home.folder / place).unlink(missing_ok=True)
    before = len(house.effects("/patient"))
    house.cluster.trouble("POST", "jobs", what, what)  # the run's own pod
    id = house.launch("patient")
    house.until(lambda: house.cluster.troubles_left() == 0, "the trouble")
    house.cluster.trouble("POST", "jobs", what, what)  # those of its steps
    house.stands("up")
    house.stands("down")
    house.cluster.trouble("GET", "jobs", *[what] * 12)  # whoever looks whether they live
    house.until(lambda: house.cluster.troubles_left() == 0, "the trouble")
    for name in ("go-up", "go-down"):
        (house.home.folder / name).touch()
    house.ended(id)
    assert house.made(id) == ["down", "the run", "up"]
    assert house.effects("/patient")[before:] and len(house.effects("/patient")) == before + 2


@pytest.mark.slow
def test_a_runs_pod_and_a_steps_pod_are_lost_at_once(house: House) -> None:
    for place in ("at-up", "at-down", "go-up", "go-down"):
        (house.home.folder / place).unlink(missing_ok=True)
    before = len(house.effects("/patient"))
    id = house.launch("patient")
    house.stands("up")
    house.stands("down")
    for victim in (house.pod("run_worker", id), house.pod("step_worker", "up", id)):
        house.cluster.kill(victim)
    house.stands("up", 2)
    for name in ("go-up", "go-down"):
        (house.home.folder / name).touch()
    house.ended(id)
    assert len(house.effects("/patient")) == before + 2
    assert (house.home.folder / "at-down").read_text() == "x"

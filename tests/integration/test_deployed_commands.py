"""The commands of compose.yaml, run together as plain processes on one machine, with PostgreSQL under both stores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("dagster_postgres")
pytest.importorskip("fastapi")

from holdfast.cli.up import free_port
from holdfast.client import Client
from holdfast.testing.postgres import PostgresServer
from holdfast.testing.sandbox import Sandbox

DEPLOY = Path(__file__).parents[2] / "dagster_defs" / "deploy"
ROOT = "/srv/holdfast"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Deployed:
    """Every service of the compose file but PostgreSQL, as it stands there: hosts, ports and the root folder are those of this machine."""

    def __init__(self, folder: Path, journal: str, dagster: str) -> None:
        self.folder, self.journal = folder, journal
        self.ports = {port: str(free_port()) for port in ("3000", "4000", "8181")}
        services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
        self.services = {name: s for name, s in services.items() if name != "postgres"}
        for place in ("state", "runbooks", "dagster"):
            (folder / place).mkdir()
        for file, place in (("dagster.yaml", "dagster"), ("workspace.yaml", "dagster"), ("policy.toml", ".")):
            shutil.copy(DEPLOY / file, folder / place)
        given = self.services["worker"]["environment"]
        stores = {"DAGSTER_POSTGRES_URL": dagster.replace("postgresql://", "postgresql+psycopg2://"), "HOLDFAST_JOURNAL": journal}
        image = {"DAGSTER_HOME": f"{ROOT}/dagster", "HOLDFAST_STATE_DIR": f"{ROOT}/state", "CODE_SERVER_HOST": "127.0.0.1"}
        own = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        self.environment = own | {k: self.here(v) for k, v in {**given, **image}.items()} | stores
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{own['PATH']}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def here(self, word: str) -> str:
        """A word of the compose file, as it is on this machine."""
        for port, mine in self.ports.items():
            word = mine if word == port else word.replace(f":{port}", f":{mine}")
        return word.replace(ROOT, str(self.folder)).replace("0.0.0.0", "127.0.0.1")

    def start(self) -> None:
        """All of them at once, as a container engine does."""
        for name, service in self.services.items():
            with open(self.folder / f"{name}.log", "ab") as log:
                words = [self.here(word) for word in service["command"]]
                self._processes.append(
                    subprocess.Popen(words, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                )

    def stop(self) -> None:
        """As a container engine does, too."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def holdfast(self, *words: str) -> Any:
        """``docker compose exec gateway holdfast ... --json``."""
        done = subprocess.run(
            ["holdfast", *words, "--json"], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def answers(self, port: str, path: str) -> bool:
        """Whether a web service is there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def logs(self) -> str:
        """The last words of all."""
        return "\n".join(f"== {log.name}\n{log.read_text()[-1500:]}" for log in self.folder.glob("*.log"))


@pytest.fixture
def deployed(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Deployed]:
    """The services, started."""
    made = Deployed(tmp_path, postgres_server.create_database(), postgres_server.create_database())
    book = Sandbox(tmp_path).notebook(
        "checks", [("step:first", "x = 40"), ("step:waits", "from holdfast import signal\nx += signal('go')\nx")]
    )
    book.rename(tmp_path / "runbooks" / book.name)
    made.start()
    yield made
    made.stop()


def test_all_come_up_and_dagster_and_the_worker_each_bring_their_own_to_its_end(deployed: Deployed) -> None:
    house = Sandbox(deployed.folder, journal=deployed.journal)
    house.until(lambda: deployed.answers("3000", "/server_info") and deployed.answers("8181", "/healthz"), deployed.logs(), 240)
    told = deployed.folder / "dagster" / "holdfast" / "served"
    house.until(lambda: any(told.glob("*.json")), "the code server to be looked at", 240)
    by_dagster = deployed.holdfast("launch", "runbooks/checks.ipynb")
    token = deployed.holdfast("token", "make", "alice")["token"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{deployed.ports['8181']}/api/v1/executions",
        data=json.dumps({"runbook": "checks"}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        by_gateway = json.loads(reply.read())["id"]
    with Client.open(journal=deployed.journal, key_file=deployed.folder / "state" / "installation.key", folder=deployed.folder) as client:
        ids = (by_dagster["execution"], by_gateway)
        for id in ids:
            house.until(lambda id=id: client.get(id).status in ("suspended", "running"), f"{id} to begin", 240)
            client.signal(id, "go", 2)
        for id in ids:
            house.until(lambda id=id: client.get(id).status.ended, f"the end of {id}", 240)
            assert client.get(id).status == "succeeded", deployed.logs()
        worked = {id: {e.data.get("owner", "").partition("@")[0].partition("-")[0] for e in client.entries(id)} - {""} for id in ids}
        assert [worked[id] for id in ids] == [{"dagster"}, {"worker"}]

"""A process and a kernel for every step, under Dagster's own multiprocess executor: branches at the same time, deaths, one execution."""

from __future__ import annotations

import json
import os
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

DEFINITIONS = """\
from pathlib import Path
import dagster as dg
from holdfast_dagster import build_definitions

# forkserver: what every step needs is imported once
preload = {"preload_modules": ["holdfast_dagster", "holdfast.engine.driver"]}
EXECUTOR = dg.multiprocess_executor.configured({"start_method": {"forkserver": preload}})
defs = build_definitions(Path(__file__).parent / "runbooks", executor=EXECUTOR)
"""


class Processes:
    """A home whose jobs run every step in a process of its own."""

    def __init__(self, home: DagsterHome, url: str) -> None:
        self.home, self.url = home, url
        (home.folder / "defs.py").write_text(DEFINITIONS)
        self.instance = dg.DagsterInstance.from_config(str(home.home))

    def effect(self, name: str) -> str:
        """Source of a call that the far side counts."""
        return f"import urllib.request\nurllib.request.urlopen('{self.url}/{name}', data=b'1').read()\n"

    def meet(self, me: str, *others: str) -> str:
        """Source that goes on only when the cells of ``others`` are running, too."""
        folder = str(self.home.folder)
        return (
            f"import os, time\nopen({folder!r} + '/at-{me}', 'a').write(str(os.getppid()) + ' ')\n"
            f"while not all(os.path.exists({folder!r} + '/at-' + o) for o in {others!r}): time.sleep(0.05)\n"
        )

    def launch(self, job: str, **options: Any) -> str:
        """Launch a run; its id."""
        found = ReconstructableRepository.for_file(str(self.home.folder / "defs.py"), "defs", str(self.home.folder))
        again = found.get_reconstructable_job(job)
        run = self.instance.create_run_for_job(again.get_definition(), job_code_origin=again.get_python_origin(), **options)
        self.instance.launch_run(run.run_id, None)
        return str(run.run_id)

    def ended(self, id: str) -> Any:
        """The run when it has ended."""
        self.home.until(lambda: self.instance.get_run_by_id(id).is_finished, f"the end of {id}", 180)
        return self.instance.get_run_by_id(id)

    def execution(self, id: str) -> Any:
        """The execution of a run."""
        with Client.open() as client:
            return client.get(self.instance.get_run_by_id(id).tags["holdfast/execution_id"])

    def log(self, id: str) -> str:
        """What the run said."""
        worker = (self.home.home / "holdfast" / f"{id}.log").read_text()[-3000:]
        return "\n".join(f"{e.step_key}: {e.message or e.user_message}" for e in self.instance.all_logs(id)) + worker

    def worker(self, id: str) -> psutil.Process:
        """The run's own process."""
        return psutil.Process(int(self.instance.get_run_by_id(id).tags[".dagster/holdfast_worker"].partition("/")[0].rpartition(":")[2]))

    def at(self, step: str, times: int = 1) -> list[int]:
        """Wait until the cell of a step stands at its meeting point for the nth time; the processes of its steps."""
        place = self.home.folder / f"at-{step}"
        self.home.until(lambda: place.exists() and len(place.read_text().split()) >= times, f"{step}, {times}", 120)
        return [int(pid) for pid in place.read_text().split()]


def runbooks(house: Processes) -> None:
    """All of them: a process loads the definitions once."""
    house.home.runbook(
        "branches",
        [
            ("step:prepare", house.effect("branches/prepare") + "base = [1]"),
            (
                "step:left",
                house.effect("branches/left") + house.meet("left", "right", "go") + "l = base + [2]\nprint('from left')",
                {"after": ["prepare"]},
            ),
            (
                "step:right",
                house.effect("branches/right") + house.meet("right", "left", "go") + "r = base + [3]\nprint('from right')",
                {"after": ["prepare"]},
            ),
            ("step:join", house.effect("branches/join") + "l + r", {"after": ["left", "right"]}),
        ],
    )
    house.home.runbook(
        "orphaned",
        [
            ("step:left", house.effect("orphaned/left") + house.meet("ol", "o-go"), {"after": []}),
            ("step:right", house.effect("orphaned/right") + house.meet("or", "o-go"), {"after": []}),
            ("step:join", house.effect("orphaned/join"), {"after": ["left", "right"]}),
        ],
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingServer]:
    with CountingServer(tmp_path_factory.mktemp("far")) as made:
        yield made


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, server: CountingServer) -> Iterator[Processes]:
    with pytest.MonkeyPatch.context() as patch:
        home = DagsterHome(tmp_path_factory.mktemp("house"), environment={"HOLDFAST_LEASE_TTL": "6", "HOLDFAST_RETRY_COUNT": "0"})
        for name, value in home.environment.items():
            if os.environ.get(name) != value:
                patch.setenv(name, value)
        patch.chdir(home.folder)
        made = Processes(home, server.url)
        runbooks(made)
        yield made
        home.stop()
        for run in made.instance.get_runs():
            if not run.is_finished:
                made.instance.run_launcher.terminate(run.run_id)
        made.instance.dispose()


def paths(server: CountingServer, start: str) -> list[str]:
    """The effects below a path, sorted."""
    return sorted(r["path"] for r in server.requests("POST") if r["path"].startswith(start))


def test_branches_run_at_the_same_time_a_killed_one_is_replaced_and_they_meet_again(house: Processes, server: CountingServer) -> None:
    id = house.launch("branches")
    (left,), _ = house.at("left"), house.at("right")
    psutil.Process(left).kill()
    house.at("left", 2)  # a new process stands there again, behind the effect, which was not repeated
    (house.home.folder / "at-go").touch()
    assert house.ended(id).status.value == "SUCCESS", house.log(id)
    assert paths(server, "/branches") == ["/branches/join", "/branches/left", "/branches/prepare", "/branches/right"]
    outputs = {
        e.step_key: e.step_output_data for e in (r.dagster_event for r in house.instance.all_logs(id)) if e and e.is_successful_output
    }
    assert len(house.at("right")) == 1  # the neighbour was not disturbed
    assert outputs["join"].metadata["result"].value == "[1, 2, 1, 3]"
    execution = house.execution(id)
    assert execution.status == "succeeded"
    assert execution.owner is None
    house.home.assert_laws(execution.id)
    notebook = json.loads(Path(outputs["join"].metadata["notebook"].value).read_text())
    told = ["".join(o.get("text", "")) for c in notebook["cells"] for o in c["outputs"] if o["output_type"] == "stream"]
    assert told == ["from left\n", "from right\n"]
    states = {c["metadata"]["papermill"]["status"] for c in notebook["cells"]}
    assert (states, notebook["metadata"]["holdfast"]["record"]["status"]) == ({"completed"}, "succeeded")


def test_a_killed_parent_is_replaced_and_each_effect_is_made_once(house: Processes, server: CountingServer) -> None:
    from holdfast_dagster.recovery import lost_runs, recover_runs

    id = house.launch("orphaned")
    (left,), _ = house.at("ol"), house.at("or")
    house.worker(id).kill()
    psutil.Process(left).kill()  # one step dies with its parent, the other one lives on without
    with Client.open() as client:
        house.home.until(lambda: [r.run_id for r in lost_runs(house.instance, client)] == [id], "the loss to be seen")
        assert recover_runs(house.instance, client) == [id]
    house.at("ol", 2)
    (house.home.folder / "at-o-go").touch()
    assert house.ended(id).status.value == "SUCCESS", house.log(id)
    assert paths(server, "/orphaned") == ["/orphaned/join", "/orphaned/left", "/orphaned/right"]
    assert len(house.at("or")) == 1
    house.home.assert_laws(house.execution(id).id)

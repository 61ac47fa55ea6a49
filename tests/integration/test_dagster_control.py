"""Runs acted on from outside: launched, resumed, paused and cancelled by several at once, by Dagster's own buttons, by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: E402

from holdfast.client import Client  # noqa: E402
from holdfast.errors import OperatorError  # noqa: E402
from holdfast.model.execution import Status  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast.testing.servers.counting import CountingServer  # noqa: E402

#: Waits for the gate, then does what any resumer does; then starts a worker behind everybody's back.
RESUMER = """\
import os, subprocess, sys, time
import dagster as dg
from holdfast.client import Client
from holdfast_dagster.resuming import resume_due
from dagster._grpc.types import ResumeRunArgs
home, ready, gate, run_id = sys.argv[1:]
with dg.DagsterInstance.from_config(home) as instance, Client.open() as client:
    open(ready, "a").write("x")
    while not os.path.exists(gate):
        time.sleep(0.005)
    resume_due(instance, client, by=str(os.getpid()))
    run = instance.get_run_by_id(run_id)
    given = ResumeRunArgs(job_origin=run.job_code_origin, run_id=run_id, instance_ref=instance.get_ref()).get_command_args()
    if run.status.value == "STARTED":
        subprocess.run([sys.executable, "-m", "dagster", *given[given.index("api"):]], check=False)
"""


class House:
    """A home and its instance."""

    def __init__(self, home: DagsterHome) -> None:
        self.home, self.log = home, home.folder / "effects"
        self.instance = dg.DagsterInstance.from_config(str(home.home))

    def launch(self, job: str) -> str:
        """Launch a job through the instance's launcher; the run's id."""
        found = ReconstructableRepository.for_file(str(self.home.folder / "defs.py"), "defs", str(self.home.folder))
        again = found.get_reconstructable_job(job)
        run = self.instance.create_run_for_job(again.get_definition(), job_code_origin=again.get_python_origin())
        self.instance.launch_run(run.run_id, None)
        return str(run.run_id)

    def until(self, run_id: str, status: str) -> Any:
        """The run once it has the status."""

        def there() -> bool:
            run = self.instance.get_run_by_id(run_id)
            return run.status.value == status or run.is_finished

        self.home.until(there, f"run {status}", 120)
        run = self.instance.get_run_by_id(run_id)
        assert run.status.value == status, (self.home.home / "holdfast" / f"{run_id}.log").read_text()[-3000:]
        return run

    def said(self, run_id: str) -> str:
        """The messages of a run's event log."""
        return "\n".join(e.message or e.user_message or "" for e in self.instance.all_logs(run_id))

    def start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A Python program beside this one."""
        return subprocess.Popen([sys.executable, "-c", program, *arguments], env=self.home.environment, cwd=self.home.folder)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house with an instance that can suspend runs."""
    home = DagsterHome(tmp_path, environment={"HOLDFAST_RETRY_COUNT": "1", "HOLDFAST_RETRY_DELAY": "0", "HOLDFAST_HOLD_FOR": "0"})
    for name, value in home.environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    made = House(home)
    yield made
    home.stop()
    for run in made.instance.get_runs():
        if not run.is_finished:
            made.instance.run_launcher.terminate(run.run_id)
    made.instance.dispose()


def write_asks(house: House, url: str) -> None:
    """A runbook that comes to a call whose outcome nobody knows; effects before and after it."""
    note = f"import subprocess\nsubprocess.run(['sh', '-c', 'echo {{}} >> {house.log}'], check=True)"
    post = f"import urllib.request\nurllib.request.urlopen('{url}/order', data=b'one').status"
    house.home.runbook("asks", [("step:before", note.format("before")), ("step:post", post), ("step:after", note.format("after"))])


def asks(house: House) -> str:
    """A run of it, suspended."""
    run_id = house.launch("asks")
    house.until(run_id, "SUSPENDED")
    return run_id


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """The address of a server that is gone."""
    with CountingServer(tmp_path) as server:
        return server.url


def test_several_resumers_at_once_do_everything_once(house: House, nowhere: str) -> None:
    write_asks(house, nowhere)
    run_id = asks(house)
    ready, gate = house.home.folder / "ready", house.home.folder / "gate"
    resumers = [house.start(RESUMER, str(house.home.home), str(ready), str(gate), run_id) for _ in range(3)]
    house.home.until(lambda: ready.exists() and len(ready.read_text()) == 3, "the resumers", 120)
    with Client.open() as client:
        (prompt,) = client.prompts()
        client.answer(prompt.id, "skip")
    gate.touch()
    run = house.until(run_id, "SUCCESS")
    for one in resumers:
        assert one.wait(120) == 0
    assert house.log.read_text().split() == ["before", "after"]
    kinds = [e.dagster_event.event_type_value for e in house.instance.all_logs(run_id) if e.dagster_event]
    assert (kinds.count("RUN_RESUMED"), kinds.count("PIPELINE_SUCCESS"), kinds.count("PIPELINE_FAILURE")) == (1, 1, 0)
    house.home.assert_laws(run.tags["holdfast/execution_id"])


def test_an_answer_at_the_command_line_is_enough(house: House, nowhere: str) -> None:
    write_asks(house, nowhere)
    run_id = asks(house)
    with Client.open() as client:
        (prompt,) = client.prompts()
    answered = house.home.holdfast("answer", prompt.id, "skip")
    assert "goes on in its scheduler" in answered.err + answered.out
    house.until(run_id, "SUCCESS")  # no daemon, no sensor, no warm server
    assert house.log.read_text().split() == ["before", "after"]


def test_launching_with_one_key_from_several_places_at_once_is_one_run(house: House) -> None:
    book = house.home.runbook("keyed", [("step:a", "1")])
    launches = [house.home.start("launch", book, "--key", "alert-7", "--json") for _ in range(3)]
    told = []
    for launch in launches:
        out, err = launch.communicate(timeout=120)
        assert launch.returncode == 0, err
        told.append(json.loads(out))
    assert len({t["run"] for t in told}) == len({t["execution"] for t in told}) == 1
    assert sum(t["new"] for t in told) == 1
    (run,) = house.instance.get_runs()
    with Client.open() as client:
        assert [e.id for e in client.list()] == [told[0]["execution"]]
    assert run.run_id == told[0]["run"]


def test_one_that_is_paused_and_let_go_on_in_the_queue_starts_as_if_nothing_had_been(house: House) -> None:
    from holdfast_dagster.launching import Control, launch

    book = house.home.runbook("waits", [("step:a", f"open({str(house.log)!r}, 'a').write('done')")])
    with Client.open() as client:
        launched = launch(book, instance=house.instance, client=client)
        control = Control(house.instance, client)
        control.pause(launched.run, why="lunch")
        assert control.resume(launched.run) == launched.run
        with pytest.raises(OperatorError, match="HF253"):
            control.resume(launch(book, instance=house.instance, client=client).run)
    house.instance.launch_run(launched.run, None)
    house.until(launched.run, "SUCCESS")
    assert house.log.read_text() == "done"
    assert "RUN_SUSPENDED" not in [e.dagster_event.event_type_value for e in house.instance.all_logs(launched.run) if e.dagster_event]


def test_what_dagster_cancels_past_the_worker_is_cancelled(house: House, nowhere: str) -> None:
    from holdfast_dagster.resuming import settle_cancelled

    write_asks(house, nowhere)
    run_id = asks(house)
    book = house.home.runbook("queued", [("step:a", "1")])
    queued = house.home.holdfast("launch", book, "--json").json
    with Client.open() as client:
        since = client.store.now() - 60
        assert settle_cancelled(house.instance, client, since) == []
        # what the UI's "force termination" does to a suspended run, and its "terminate" to a queued one
        house.instance.report_run_canceled(house.instance.get_run_by_id(run_id), "by force")
        assert house.instance.run_coordinator.cancel_run(queued["run"])
        assert set(settle_cancelled(house.instance, client, since)) == {run_id, queued["run"]}
        assert settle_cancelled(house.instance, client, since) == []
        assert {e.status for e in client.list()} == {Status.CANCELLED}
        assert client.prompts() == [], "nobody is asked any more"
    assert house.log.read_text().split() == ["before"]


def test_a_pause_shows_in_dagster_and_a_person_ends_it(house: House, nowhere: str) -> None:
    from holdfast_dagster.launching import Control
    from holdfast_dagster.resuming import settle_ended

    gate = house.home.folder / "gate"
    wait = f"import os, time\nopen({str(house.log)!r}, 'a').write('began ')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    write_asks(house, nowhere)
    house.home.runbook("long", [("step:a", wait), ("step:b", f"open({str(house.log)!r}, 'a').write('ended ')")])
    run_id = house.launch("long")
    house.home.until(house.log.exists, "the step", 120)
    execution = house.instance.get_run_by_id(run_id).tags["holdfast/execution_id"]
    assert house.home.holdfast("pause", execution, "--why", "lunch").status == 0
    gate.touch()
    run = house.until(run_id, "SUSPENDED")
    assert "lunch" in house.said(run_id)
    with Client.open() as client:
        control = Control(house.instance, client)
        assert control.status(run_id)[0].status == Status.PAUSED
        assert control.resume(execution) == run.run_id
        house.until(run_id, "SUCCESS")
        assert house.log.read_text().split() == ["began", "ended"]
        # one that waits already
        house.log.unlink()
        other = asks(house)
        waiting = house.instance.get_run_by_id(other).tags["holdfast/execution_id"]
        control.pause(other, why="a change freeze")
        assert client.get(waiting).status == Status.PAUSED
        for _ in range(2):
            settle_ended(house.instance, client, None)
        assert house.said(other).count("a change freeze") == 1
        control.cancel(other, why="not needed")
        house.until(other, "CANCELED")
        assert client.get(waiting).status == Status.CANCELLED


def test_a_worker_of_another_machine_is_lost_when_its_lease_has_run_out(house: House) -> None:
    from holdfast.model.entry import Draft, Kind
    from holdfast.model.execution import Change
    from holdfast.model.lease import Owner
    from holdfast_dagster.recovery import lost_runs
    from holdfast_dagster.sessions import worker_label

    book = house.home.runbook("far", [("step:a", "1")])
    launched = house.home.holdfast("launch", book, "--json").json
    run_id = launched["run"]
    owner = Owner(host="elsewhere", boot="b", pid=1, started="1", label=worker_label(run_id))
    tags = {".dagster/holdfast_worker": owner.text, ".dagster/holdfast_run": run_id, "holdfast/execution_id": launched["execution"]}
    house.instance.add_run_tags(run_id, tags)
    event = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="far", message="as a worker elsewhere would")
    house.instance.report_dagster_event(event, run_id=run_id)
    with Client.open() as client:
        lease = client.store.claim(launched["execution"], owner, 3600)
        assert lease is not None
        started = Draft(kind=Kind.NOTE, body={"what": "test"}, actor="test")
        client.store.append(launched["execution"], (started,), fence=lease.fence, change=Change(status=Status.RUNNING))
        assert lost_runs(house.instance, client) == []
        client.store.renew(lease, 0.01)
        house.home.until(lambda: [r.run_id for r in lost_runs(house.instance, client)] == [run_id], "the lease to run out")

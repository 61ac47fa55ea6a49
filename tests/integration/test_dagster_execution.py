"""Runs of a real Dagster instance whose steps a real engine and real kernels execute: suspended, continued, re-executed, cancelled."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: E402

from holdfast.client import Client  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast.testing.servers.counting import CountingServer  # noqa: E402


class House:
    """A home, its instance, and what a test asks of them."""

    def __init__(self, home: DagsterHome) -> None:
        self.home = home
        self.instance = dg.DagsterInstance.from_config(str(home.home))
        self.log = home.folder / "effects"

    def create(self, job: str, **options: Any) -> Any:
        """A run of a job, not yet launched."""
        found = ReconstructableRepository.for_file(str(self.home.folder / "defs.py"), "defs", str(self.home.folder))
        again = found.get_reconstructable_job(job)
        return self.instance.create_run_for_job(again.get_definition(), job_code_origin=again.get_python_origin(), **options)

    def launch(self, job: str, **options: Any) -> Any:
        """Launch a run of a job through the instance's launcher."""
        run = self.create(job, **options)
        self.instance.launch_run(run.run_id, None)
        return run

    def run(self, id: str) -> Any:
        """A run as it is now."""
        return self.instance.get_run_by_id(id)

    def until(self, id: str, *statuses: str, seconds: float = 60) -> Any:
        """The run once it has one of the statuses."""
        self.home.until(lambda: self.run(id).status.value in statuses or self.run(id).is_finished, f"run {statuses}", seconds)
        run = self.run(id)
        assert run.status.value in statuses, "\n".join(self.said(id)) + (self.home.home / "holdfast" / f"{id}.log").read_text()[-3000:]
        return run

    def said(self, id: str) -> list[str]:
        """The messages of a run's event log."""
        return [e.message or e.user_message or "" for e in self.instance.all_logs(id)]

    def kinds(self, id: str, step: str | None = None) -> list[str]:
        """The kinds of the events of a run, or of one of its steps."""
        events = [e.dagster_event for e in self.instance.all_logs(id) if e.dagster_event]
        return [e.event_type_value for e in events if step is None or e.step_key == step]

    def effects(self) -> list[str]:
        """What the cells wrote down outside, in order."""
        return self.log.read_text().split() if self.log.exists() else []

    def note(self, word: str) -> str:
        """Source of a cell's line that writes a word down outside, unrecorded: it shows how often the cell ran."""
        return f"open({str(self.log)!r}, 'a').write('{word}\\n')"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house with an instance that can suspend runs."""
    yield from _house(DagsterHome(tmp_path, environment={"HOLDFAST_RETRY_COUNT": "1", "HOLDFAST_RETRY_DELAY": "0"}), monkeypatch)


def _house(home: DagsterHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    for name, value in home.environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(home.folder)
    made = House(home)
    yield made
    home.stop()
    for run in made.instance.get_runs():
        if not run.is_finished:
            made.instance.run_launcher.terminate(run.run_id)
    made.instance.dispose()


def test_a_run_is_one_execution_in_one_kernel_and_its_outputs_stream(house: House) -> None:
    gate = house.home.folder / "heard"
    waits = f"import os, time\nx = 1\nprint('hello')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    house.home.runbook("one", [("step:a", waits), ("step:b", "x += 1"), ("step:c", "x")])
    run_id = house.launch("one").run_id
    house.home.until(lambda: any(e.step_key == "a" and e.user_message == "hello" for e in house.instance.all_logs(run_id)), "the output")
    gate.touch()
    run = house.until(run_id, "SUCCESS")
    with Client.open() as client:
        execution = client.get(run.tags["holdfast/execution_id"])
        started = [e for e in client.entries(execution.id) if e.kind == "note" and e.data.get("what") == "kernel_started"]
    assert execution.status == "succeeded"
    assert len(started) == 1
    events = house.instance.all_logs(run.run_id)
    outputs = {e.step_key: e.dagster_event.step_output_data for e in events if e.dagster_event and e.dagster_event.is_successful_output}
    assert outputs["c"].metadata["result"].value == "2"
    assert Path(outputs["c"].metadata["notebook"].value).exists()


def test_a_waiting_run_is_suspended_without_a_process_and_goes_on_once_when_answered(house: House, tmp_path: Path) -> None:
    from holdfast_dagster.resuming import resume_due

    with CountingServer(tmp_path) as server:
        url = server.url  # nobody listens there when the run comes to it
    house.home.runbook(
        "asks",
        [
            ("step:before", f"{house.note('before')}\nx = 40"),
            ("step:post", f"import urllib.request\nurllib.request.urlopen('{url}/order', data=b'one').status"),
            ("step:after", f"{house.note('after')}\nx + 2"),
        ],
    )
    run = house.until(house.launch("asks").run_id, "SUSPENDED")
    assert run.tags[".dagster/holdfast_worker"] == ""
    assert not {"STEP_FAILURE", "STEP_UP_FOR_RETRY", "STEP_SUCCESS"} & set(house.kinds(run.run_id, "post"))
    with Client.open() as client:
        (prompt,) = client.prompts()
        assert resume_due(house.instance, client) == []  # nothing is due before the answer
        client.answer(prompt.id, "skip")
        began = time.monotonic()
        assert resume_due(house.instance, client) == [run.run_id]
        assert resume_due(house.instance, client) == []  # a second resumer starts no second worker
    house.until(run.run_id, "SUCCESS")
    assert time.monotonic() - began < 60
    kinds = house.kinds(run.run_id)
    assert (kinds.count("RUN_SUSPENDED"), kinds.count("RUN_RESUMED"), kinds.count("PIPELINE_SUCCESS")) == (1, 1, 1)
    assert house.kinds(run.run_id, "before").count("STEP_START") == 1
    assert house.effects() == ["before", "after"]


def test_re_execution_from_failure_continues_the_execution_and_re_execution_of_all_makes_a_new_one(house: House) -> None:
    gate = house.home.folder / "open"
    house.home.runbook(
        "fails",
        [
            ("step:done", f"import subprocess\nsubprocess.run(['sh', '-c', 'echo made >> {house.log}'], check=True)"),
            ("step:later", f"import os\nassert os.path.exists({str(gate)!r}), 'not yet'"),
        ],
    )
    first = house.until(house.launch("fails").run_id, "FAILURE")
    gate.touch()
    tags = {"dagster/is_resume_retry": "true"}
    parents = {"parent_run_id": first.run_id, "root_run_id": first.run_id}
    again = house.launch("fails", tags={**dict(first.tags), **tags}, **parents)  # tags are inherited, as the UI does it
    again = house.until(again.run_id, "SUCCESS")
    anew = house.until(house.launch("fails", tags=dict(first.tags), **parents).run_id, "SUCCESS")
    ids = [r.tags["holdfast/execution_id"] for r in (first, again, anew)]
    assert ids[0] == ids[1] != ids[2]
    assert house.effects() == ["made", "made"]  # once for each execution


def test_cancelling_ends_run_and_execution_while_it_runs_and_while_it_waits(house: House, tmp_path: Path) -> None:
    with CountingServer(tmp_path) as server:
        url = server.url
    house.home.runbook("runs", [("step:long", f"{house.note('began')}\nimport time\ntime.sleep(600)"), ("step:never", house.note("never"))])
    house.home.runbook("waits", [("step:post", f"import urllib.request\nurllib.request.urlopen('{url}/x', data=b'1')")])
    running, waiting = house.launch("runs"), house.launch("waits")
    house.home.until(lambda: house.effects() == ["began"], "the long step", 60)
    house.until(waiting.run_id, "SUSPENDED")
    for run in (running, waiting):
        assert house.instance.run_launcher.terminate(run.run_id)
        house.until(run.run_id, "CANCELED")
    with Client.open() as client:
        assert {str(e.status) for e in client.list()} == {"cancelled"}
    assert house.effects() == ["began"]


def test_launching_with_a_key_is_done_once(house: House) -> None:
    book = house.home.runbook("keyed", [("parameters", "region = 'eu'"), ("step:a", "region")])
    answers = [house.home.holdfast("launch", book, "-p", "region", "us", "--key", "alert-7", "--json").json for _ in range(2)]
    assert [a["new"] for a in answers] == [True, False]
    assert answers[0]["run"] == answers[1]["run"]
    (run,) = house.instance.get_runs()
    assert (run.status.value, run.tags["holdfast/key"], run.run_config) == ("QUEUED", "alert-7", {"region": "us"})
    other = house.home.runbook("other", [("parameters", "region = 'eu'"), ("step:a", "region")])
    for notebook, region, says in ((book, "eu", "other parameters"), (other, "us", "another runbook")):
        refused = house.home.holdfast("launch", notebook, "-p", "region", region, "--key", "alert-7")
        assert refused.status != 0
        assert "HF254" in refused.err
        assert says in refused.err
    assert [r.run_id for r in house.instance.get_runs()] == [run.run_id]
    with Client.open() as client:
        client.cancel(run.tags["holdfast/continues"])
    house.instance.delete_run(run.run_id)
    again = house.home.holdfast("launch", book, "-p", "region", "us", "--key", "alert-7", "--json").json
    assert (again["run"], again["new"], again["status"]) == (run.run_id, False, "CANCELED")
    assert house.instance.get_runs() == [], "what has ended is not begun again because somebody tidied up"

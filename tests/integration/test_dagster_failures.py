"""What an author says of failures, as Dagster shows it; two runbooks of one name in one run; selected steps again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: E402

from holdfast.client import Client  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402

DEFINITIONS = """\
from pathlib import Path
import dagster as dg
from holdfast_dagster import build_definitions
from holdfast_dagster.executor import holdfast_executor

found = build_definitions(Path(__file__).parent / "runbooks", sensors=False)
both = dg.define_asset_job("both", selection=dg.AssetSelection.groups("east__costs", "west__costs"), executor_def=holdfast_executor)
defs = dg.Definitions.merge(found, dg.Definitions(jobs=[both]))
"""


class Runs:
    """A home, and one run of each of its jobs, all started at once."""

    def __init__(self, home: DagsterHome) -> None:
        self.home, self.log = home, home.folder / "effects"
        self.instance = dg.DagsterInstance.from_config(str(home.home))
        self.first: dict[str, str] = {}

    def note(self, word: str) -> str:
        """Source of a line that writes a word down outside, unrecorded: it shows how often the cell ran."""
        return f"open({str(self.log)!r}, 'a').write('{word}\\n')\n"

    def noted(self, start: str) -> list[str]:
        """The words that begin so."""
        return [w for w in self.log.read_text().split() if w.startswith(start)]

    def launch(self, job: str, **options: Any) -> str:
        """A run; its id."""
        found = ReconstructableRepository.for_file(str(self.home.folder / "defs.py"), "defs", str(self.home.folder))
        again = found.get_reconstructable_job(job)
        if options.get("steps"):
            selection = options.pop("steps")
            again = again.get_subset(op_selection=selection)
            options["op_selection"] = list(selection)
        run = self.instance.create_run_for_job(again.get_definition(), job_code_origin=again.get_python_origin(), **options)
        self.instance.launch_run(run.run_id, None)
        return str(run.run_id)

    def ended(self, id: str, status: str) -> Any:
        """The run at its end."""
        self.home.until(lambda: self.instance.get_run_by_id(id).is_finished, f"the end of {id}", 180)
        run = self.instance.get_run_by_id(id)
        assert run.status.value == status, (self.home.home / "holdfast" / f"{id}.log").read_text()[-3000:]
        return run

    def kinds(self, id: str) -> dict[str, str]:
        """Op -> its last event of a step's course."""
        wanted = ("STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED", "STEP_UP_FOR_RETRY")
        events = [e.dagster_event for e in self.instance.all_logs(id)]
        return {e.step_key.rpartition(".")[2]: e.event_type_value for e in events if e and e.step_key and e.event_type_value in wanted}

    def steps(self, id: str) -> dict[str, str]:
        """Step -> state, as the journal has it."""
        with Client.open() as client:
            history = client.history(self.instance.get_run_by_id(id).tags["holdfast/execution_id"])
        return {s.id: s.state for s in history.steps}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    home = DagsterHome(tmp_path_factory.mktemp("failures"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in home.environment.items():
            if os.environ.get(name) != value:
                patch.setenv(name, value)
        patch.chdir(home.folder)
        (home.folder / "defs.py").write_text(DEFINITIONS)
        made = Runs(home)
        _runbooks(made)
        made.first = {name: made.launch(name) for name in ("cleans", "goes_on", "jumps", "tries", "slow", "both", "many")}
        yield made
        for run in made.instance.get_runs():
            if not run.is_finished:
                made.instance.run_launcher.terminate(run.run_id)
        made.instance.dispose()


def _runbooks(runs: Runs) -> None:
    note, book = runs.note, runs.home.runbook
    fails = "raise ValueError('no')"
    book(
        "cleans",
        [
            ("step:make", note("clean-make")),
            ("step:breaks", note("clean-break") + fails),
            ("step:never", note("clean-never")),
            ("step:tidy always", note("clean-tidy") + "print('tidied')"),
            ("teardown:make", note("clean-undo")),
        ],
    )
    book("goes_on", [("step:a", fails, {"on_failure": "continue"}), ("step:b", note("on-b")), ("step:c", note("on-c"))])
    book("jumps", [("step:a", fails, {"on_failure": "c"}), ("step:b", note("jump-b")), ("step:c", note("jump-c"))])
    once = f"import os\nassert len(open({str(runs.log)!r}).read().split('try-a')) > 2, 'not yet'"
    book("tries", [("step:a", note("try-a") + once, {"retry": {"count": 3, "delay": 0}}), ("step:b", "1")])
    book("slow", [("step:a", note("slow-a") + "import time\ntime.sleep(600)", {"timeout": 8}), ("step:b", note("slow-b"))])
    each = "import time\nfrom holdfast import for_each\nprint(sum(for_each(range(20), lambda n: time.sleep(0.4) or n, label='volumes')))"
    book("many", [("step:a", each)])
    for region in ("east", "west"):
        (runs.home.runbooks / region).mkdir()
        made = book("costs", [(f"asset:{region}_costs", note(f"costs-{region}") + f"'{region}'")], group=f"{region}__costs")
        made.rename(runs.home.runbooks / region / made.name)


def test_a_step_tagged_always_is_an_op_that_ran_and_a_teardown_is_none(runs: Runs) -> None:
    id = runs.first["cleans"]
    runs.ended(id, "FAILURE")
    assert runs.kinds(id) == {"make": "STEP_SUCCESS", "breaks": "STEP_FAILURE", "tidy": "STEP_SUCCESS"}
    assert runs.noted("clean") == ["clean-make", "clean-break", "clean-tidy"]
    assert "tidied" in [e.user_message for e in runs.instance.all_logs(id) if e.step_key == "tidy"]


def test_the_log_says_how_far_a_loop_has_come_and_the_step_how_it_ended(runs: Runs) -> None:
    id = runs.first["many"]
    runs.ended(id, "SUCCESS")
    bars = [said for said in (e.user_message for e in runs.instance.all_logs(id)) if said.startswith("volumes [")]
    assert 2 <= len(bars) <= 5, "now and then, not each time"
    assert any("left" in said for said in bars)
    assert any(said == "190" for said in (e.user_message for e in runs.instance.all_logs(id)))


def test_a_failure_that_is_tolerated_makes_nothing_and_lets_go_on(runs: Runs) -> None:
    runs.ended(runs.first["goes_on"], "SUCCESS")
    assert runs.steps(runs.first["goes_on"]) == {"a": "failed", "b": "succeeded", "c": "succeeded"}
    runs.ended(runs.first["jumps"], "SUCCESS")
    assert runs.steps(runs.first["jumps"]) == {"a": "failed", "b": "skipped", "c": "succeeded"}
    assert runs.noted("jump") == ["jump-c"]


def test_retries_are_the_journals_and_a_timeout_is_a_failure(runs: Runs) -> None:
    runs.ended(runs.first["tries"], "SUCCESS")
    assert runs.noted("try-a") == ["try-a", "try-a"]
    assert "STEP_UP_FOR_RETRY" not in runs.kinds(runs.first["tries"]).values()
    id = runs.first["slow"]
    runs.ended(id, "FAILURE")
    assert runs.noted("slow") == ["slow-a"]
    assert any("HF180" in (e.dagster_event.message or "") for e in runs.instance.all_logs(id) if e.dagster_event) or any(
        "HF180" in str(e.dagster_event.step_failure_data)
        for e in runs.instance.all_logs(id)
        if e.dagster_event and e.dagster_event.is_step_failure
    )


def test_a_failure_is_told_once_with_its_cell_and_its_cure_and_without_a_stack_of_ours(runs: Runs) -> None:
    id = runs.first["cleans"]
    runs.ended(id, "FAILURE")
    (event,) = [e for e in (r.dagster_event for r in runs.instance.all_logs(id)) if e and e.is_step_failure]
    data = event.step_failure_data
    what, where, cure = data.error.message.splitlines()
    assert (what, where) == ("ValueError: no", "Where: step breaks, cell 1 (c1) of cleans.ipynb")
    assert cure.startswith("What to do: ")
    assert "Re-execute from failure" in cure
    assert (data.error.stack, data.error.cause, data.error.context) == ([], None, None)
    assert "ValueError" in data.user_failure_data.metadata["error"].value, "the cell's own traceback, as the notebook has it"
    assert "site-packages" not in str(event)


def test_two_runbooks_of_one_name_are_two_executions_of_one_run(runs: Runs) -> None:
    from holdfast_dagster.choosing import executions_of, run_of

    run = runs.ended(runs.first["both"], "SUCCESS")
    assert sorted(runs.noted("costs")) == ["costs-east", "costs-west"]
    with Client.open() as client:
        executions = executions_of(client, run)
        assert sorted(Path(e.path or "").parent.name for e in executions) == ["east", "west"]
        assert {str(e.status) for e in executions} == {"succeeded"}
    for execution in executions:
        found = run_of(runs.instance, execution.id, execution.runbook)
        assert found is not None
        assert found.run_id == run.run_id


def test_a_selected_step_that_had_succeeded_is_done_anew_in_a_new_execution_and_no_other(runs: Runs) -> None:
    parent = runs.ended(runs.first["goes_on"], "SUCCESS")
    ids = {"parent_run_id": parent.run_id, "root_run_id": parent.run_id}
    again = runs.ended(runs.launch("goes_on", steps=["b"], tags=dict(parent.tags), **ids), "SUCCESS")
    assert runs.noted("on") == ["on-b", "on-c", "on-b"]
    assert again.tags["holdfast/execution_id"] != parent.tags["holdfast/execution_id"]


def test_a_selected_step_that_had_not_succeeded_goes_on_in_its_execution(runs: Runs) -> None:
    parent = runs.ended(runs.first["slow"], "FAILURE")
    ids = {"parent_run_id": parent.run_id, "root_run_id": parent.run_id}
    again = runs.ended(runs.launch("slow", steps=["a"], tags=dict(parent.tags), **ids), "FAILURE")
    assert again.tags["holdfast/execution_id"] == parent.tags["holdfast/execution_id"]


@pytest.mark.parametrize(("step", "above"), [("c", "b"), ("b", "a")])
def test_a_step_alone_without_what_it_comes_after_is_refused_and_does_not_wait_for_ever(step: str, above: str, runs: Runs) -> None:
    id = runs.launch("goes_on", steps=[step])
    runs.ended(id, "FAILURE")
    assert any(
        f"comes after {above}" in str(e.dagster_event.step_failure_data)
        for e in runs.instance.all_logs(id)
        if e.dagster_event and e.dagster_event.is_step_failure
    )

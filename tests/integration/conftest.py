"""A Dagster home with its instance, as several modules here need it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.dagster_home import DagsterHome

#: Everything as an installation has it: every runbook as a job, both sensors.
DEFINITIONS = """\
from pathlib import Path
from holdfast_dagster import build_definitions
defs = build_definitions(Path(__file__).parent / "runbooks")
"""


class DagsterHouse:
    """A home, its instance, and what a test asks of them. The process works in the home's folder and with its settings meanwhile.

    Args:
        home: its settings are those of this process until :meth:`close`.
        definitions: what the home serves.
    """

    def __init__(self, home: DagsterHome, definitions: str = DEFINITIONS) -> None:
        import dagster as dg

        self.home, self.log = home, home.folder / "effects"
        (home.folder / "defs.py").write_text(definitions)
        self._stack = ExitStack()
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in home.environment.items():
            if os.environ.get(name) != value:
                patch.setenv(name, value)
        patch.chdir(home.folder)
        self.instance = dg.DagsterInstance.from_config(str(home.home))

    def close(self) -> None:
        """End everything."""
        self.home.stop()
        for run in self.instance.get_runs():
            if not run.is_finished:
                with suppress(Exception):  # Dagster's own launcher asks the code server, which has ended
                    self.instance.run_launcher.terminate(run.run_id)
        self.instance.dispose()
        self._stack.close()

    def create(self, job: str, **options: Any) -> Any:
        """A run of a job, not yet launched."""
        from dagster._core.definitions.reconstruct import ReconstructableRepository

        found = ReconstructableRepository.for_file(str(self.home.folder / "defs.py"), "defs", str(self.home.folder))
        again = found.get_reconstructable_job(job)
        return self.instance.create_run_for_job(again.get_definition(), job_code_origin=again.get_python_origin(), **options)

    def launch(self, job: str, **options: Any) -> str:
        """Launch a run of a job through the instance's launcher; its id."""
        run = self.create(job, **options)
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        return str(run.run_id)

    def run(self, id: str) -> Any:
        """A run as it is now."""
        return self.instance.get_run_by_id(id)

    def until(self, id: str, *statuses: str, seconds: float = 180) -> Any:
        """The run once it has one of the statuses."""
        self.home.until(lambda: self.run(id).status.value in statuses or self.run(id).is_finished, f"run {statuses}", seconds)
        run = self.run(id)
        log = self.home.home / "holdfast" / f"{id}.log"
        assert run.status.value in statuses, "\n".join(self.said(id)) + (log.read_text()[-3000:] if log.exists() else "")
        return run

    def said(self, id: str) -> list[str]:
        """The messages of a run's event log."""
        return [e.message or e.user_message or "" for e in self.instance.all_logs(id)]

    def events(self, id: str, step: str | None = None) -> list[Any]:
        """Dagster's events of a run, or of one of its steps."""
        events = [e.dagster_event for e in self.instance.all_logs(id) if e.dagster_event]
        return [e for e in events if step is None or e.step_key == step]

    def kinds(self, id: str, step: str | None = None) -> list[str]:
        """The kinds of these events."""
        return [e.event_type_value for e in self.events(id, step)]

    def execution(self, id: str) -> str:
        """The id of the execution of a run."""
        return str(self.run(id).tags["holdfast/execution_id"])

    def runs_of(self, execution: str) -> list[str]:
        """The runs that were to work on an execution, the latest first."""
        runs = self.instance.get_runs()
        return [r.run_id for r in runs if execution in (r.tags.get("holdfast/execution_id"), r.tags.get("holdfast/continues"))]

    def effects(self) -> list[str]:
        """What the cells wrote down outside, in order."""
        return self.log.read_text().split() if self.log.exists() else []

    def note(self, word: str) -> str:
        """Source of a cell's line that writes a word down outside, unrecorded: it shows how often the cell ran."""
        return f"open({str(self.log)!r}, 'a').write('{word}\\n')\n"

    def record(self, word: str) -> str:
        """Source of a recorded call that writes a word down outside: once, whatever is killed."""
        return f"import subprocess\nsubprocess.run(['sh', '-c', 'echo {word} >> {self.log}'], check=True)\n"

    def write_asks(self) -> None:
        """The runbook ``asks``: an effect, another one and then the signal ``go``, and an effect with what it brought."""
        cells = [
            ("step:before", self.record("before")),
            ("step:asks", self.record("asks") + "from holdfast import signal\ngot = signal('go')"),
        ]
        self.home.runbook("asks", [*cells, ("step:after", f"!echo after-{{got}} >> {self.log}")])


@pytest.fixture(scope="session")
def dagster_house(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Makes houses: ``with dagster_house("name", definitions=..., settings=..., warm=..., native=..., environment=...) as house``."""

    @contextmanager
    def make(
        name: str, definitions: str = DEFINITIONS, settings: str = "", folder: Path | None = None, **options: Any
    ) -> Iterator[DagsterHouse]:
        home = DagsterHome(folder or Path(tmp_path_factory.mktemp(name)), **options)
        with (home.home / "dagster.yaml").open("a") as file:
            file.write(settings)
        house = DagsterHouse(home, definitions)
        try:
            yield house
        finally:
            house.close()

    return make

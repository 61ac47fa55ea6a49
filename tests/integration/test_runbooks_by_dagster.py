"""Every shipped runbook on its stage, launched in Dagster: it waits as a suspended run, its worker is killed, each effect is made once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.foundation import clock  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast.testing.performing import Performance  # noqa: E402
from holdfast.testing.rehearsal import Stage, rehearsals  # noqa: E402

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
REHEARSALS = {f"{pack.name}/{name}": one for pack in sorted(RUNBOOKS.iterdir()) if pack.is_dir() for name, one in rehearsals(pack).items()}
ENDED = ("succeeded", "failed", "cancelled")
DEFINITIONS = """\
from pathlib import Path
from holdfast_dagster import build_definitions

defs = build_definitions({pack!r})
"""


class ByDagster(Performance):
    """The same with Dagster's daemon between person and execution."""

    home: DagsterHome

    def stand(self, folder: Path, environment: dict[str, str]) -> DagsterHome:
        (folder / "dagster").mkdir()
        self.home = DagsterHome(folder / "dagster", environment=environment)
        (self.home.folder / "defs.py").write_text(DEFINITIONS.format(pack=str(self.book.parent)))
        return self.home

    @contextmanager
    def served(self, faults: str) -> Iterator[None]:
        """Within: a daemon, whose runs are killed at ``faults``."""
        with dg.DagsterInstance.from_config(str(self.home.home)):
            pass  # the tables, before anybody else wants them
        self.home.environment["HOLDFAST_FAULTS"] = faults
        self.home.dagster("daemon")
        try:
            yield
        finally:
            self.home.stop()

    def launched(self, seconds: float = 600.0) -> tuple[str, Any]:
        """Launch the runbook; when it has ended: its status, and the run."""
        done = self.home.holdfast("launch", self.book, *self.given(), "--json")
        assert done.status == 0, done.err
        self.execution = done.json["execution"]
        deadline, waited = clock.monotonic() + seconds, 0
        while (status := self.home.status(self.execution)) not in ENDED:
            assert clock.monotonic() < deadline, (status, (self.home.folder / "daemon.log").read_text()[-4000:])
            waits = sum(e.kind == "execution.suspended" for e in self.home.entries(self.execution))
            if status == "suspended" and waits > waited:
                waited = waits
                self.while_it_waits()
            clock.sleep(0.5)
        with dg.DagsterInstance.from_config(str(self.home.home)) as instance:
            self.home.until(lambda: instance.get_run_by_id(done.json["run"]).is_finished, "the end of the run", 120)
            return status, instance.get_run_by_id(done.json["run"])


@pytest.mark.slow
@pytest.mark.timeout(900)  # one that waits again and again is resumed as often, each time by another worker
@pytest.mark.parametrize("name", REHEARSALS)
def test_launched_in_dagster_killed_and_answered(tmp_path: Path, name: str) -> None:
    rehearsal = REHEARSALS[name]
    if rehearsal.needs is not None and not rehearsal.needs():
        pytest.skip(f"what {name} is rehearsed against is not installed")
    with rehearsal.stage(tmp_path) as stage:
        assert isinstance(stage, Stage)
        performance = ByDagster(RUNBOOKS / f"{name}.ipynb", stage, tmp_path)
        with performance.served("call.after_effect@3=kill-both-once"):
            status, run = performance.launched()
        effects = stage.effects()
    performance.home.assert_laws(performance.execution)
    assert (status, run.status.value) == (stage.ends, "SUCCESS" if stage.ends == "succeeded" else "FAILURE"), json.dumps(run.tags)
    assert len(performance.home.struck()) == 1
    assert effects
    assert {effect: n for effect, n in effects.items() if n != 1 and effect not in rehearsal.repeated} == {}, "each effect once"

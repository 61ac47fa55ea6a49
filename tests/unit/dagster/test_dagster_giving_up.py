"""An execution that runs cannot continue: after five of them a person has to look."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import nbformat

from holdfast.client import Client
from holdfast_dagster import names
from holdfast_dagster.resuming import resume_run


def test_after_five_runs_that_could_not_continue_it_no_further_one_is_started(tmp_path: Path) -> None:
    @dg.job
    def r() -> None:
        pass

    book = tmp_path / "r.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), book)
    with dg.DagsterInstance.ephemeral() as instance, Client.open(folder=tmp_path, journal=f"sqlite:///{tmp_path}/journal.db") as client:
        header = client.start(book, {}, via="dagster", queued=False)
        runs = [instance.create_run_for_job(r, tags={names.CONTINUES: header.id}) for _ in range(5)]
        for run in runs:
            instance.report_run_failed(run)
        last = instance.get_run_by_id(runs[-1].run_id)
        assert last is not None
        for _ in range(3):
            assert resume_run(instance, client, instance.get_run_by_id(last.run_id), header) is None  # type: ignore[arg-type]
        said = [e.message for e in instance.all_logs(last.run_id) if "no further one is started" in (e.message or "")]
        assert len(instance.get_runs()) == 5
    assert len(said) == 1, "said once"
    assert f"holdfast resume {header.id}" in said[0]

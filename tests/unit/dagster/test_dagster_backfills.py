"""A backfill that is cancelled while a run of it waits, under a launcher that knows nothing of suspended runs."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import nbformat
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from holdfast.client import Client
from holdfast_dagster.choosing import Chosen, point_run_at
from holdfast_dagster.resuming import settle_backfills


def test_its_suspended_runs_are_cancelled_with_their_executions_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.job
    def r() -> None:
        pass

    monkeypatch.setenv("HOLDFAST_JOURNAL", f"sqlite:///{tmp_path}/journal.db")
    book = tmp_path / "r.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), book)
    with dg.DagsterInstance.ephemeral() as instance, Client.open(folder=tmp_path) as client:
        runs, executions = [], []
        for id, status in (("gone", BulkActionStatus.CANCELING), ("stays", BulkActionStatus.REQUESTED)):
            instance.add_backfill(
                PartitionBackfill(backfill_id=id, status=status, from_failure=False, tags={}, backfill_timestamp=0.0, partition_names=["a"])
            )
            run = instance.create_run_for_job(r, tags={"dagster/backfill": id})
            for kind in (DagsterEventType.RUN_START, DagsterEventType.RUN_SUSPENDED):
                instance.report_dagster_event(DagsterEvent(event_type_value=kind.value, job_name="r", message="x"), run_id=run.run_id)
            header = client.start(book, {}, via="dagster", queued=False)
            point_run_at(instance, run, Chosen(header=header))
            runs.append(run.run_id)
            executions.append(header.id)
        assert settle_backfills(instance) == [runs[0]]
        assert settle_backfills(instance) == []
        stand = [instance.get_run_by_id(id) for id in runs]
        assert [one.status.value for one in stand if one is not None] == ["CANCELED", "SUSPENDED"]
        assert client.get(executions[0]).status == "cancelled"
        assert not client.get(executions[1]).status.ended

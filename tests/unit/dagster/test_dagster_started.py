"""Who started a Dagster run, as guardrails see it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import nbformat
import pytest

from holdfast.client import Client
from holdfast.guardrails.approvals import attended
from holdfast_dagster.choosing import choose_execution


@pytest.mark.parametrize(
    ("tags", "by_a_person"),
    [
        ({}, True),
        ({"dagster/schedule_name": "nightly"}, False),
        ({"dagster/sensor_name": "new_files"}, False),
        ({"dagster/sensor_name": "default", "dagster/from_automation_condition": "true"}, False),
        ({"dagster/backfill": "abc"}, False),
    ],
)
def test_what_dagster_starts_by_itself_is_attended_by_nobody(tmp_path: Path, tags: dict[str, str], by_a_person: bool) -> None:
    path = tmp_path / "r.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)
    run = dg.DagsterRun(job_name="r", tags=tags)
    with dg.DagsterInstance.ephemeral() as instance, Client.open(folder=tmp_path, journal=f"sqlite:///{tmp_path}/journal.db") as client:
        header = choose_execution(client, instance, run, path, {}).header
        assert attended(client.store, header) is by_a_person

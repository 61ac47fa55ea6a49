"""What a whole execution is told as, beside what each step printed and showed."""

from __future__ import annotations

from typing import Any

import dagster as dg

from holdfast.client import Client
from holdfast_dagster.choosing import executions_of, of_runbook
from holdfast_dagster.links import execution_links
from holdfast_dagster.runbook import Runbook


def execution_metadata(instance: dg.DagsterInstance, run_id: str, runbook: Runbook) -> dict[str, Any]:
    """Of the executed notebook: the file, the execution, and one line per step."""
    run = instance.get_run_by_id(run_id)
    with Client.open() as client:
        mine = of_runbook(executions_of(client, run), runbook.path) if run is not None else None
        if mine is None:
            return {}
        execution = mine.id
        history = client.history(execution)
        created = client.entries(execution, limit=1)
        given = created[0].data.get("output") if created else None
        leads = execution_links(client.config, execution)
        place = str(given or client.config.state_dir / "outputs" / f"{execution}.ipynb")
    rows = [f"| {s.id} | {s.state} |" for s in history.steps if s.state != "pending"]
    return {
        "notebook": dg.MetadataValue.notebook(place) if "://" not in place else dg.MetadataValue.url(place),
        "execution": dg.MetadataValue.text(execution),
        **leads,
        "steps": dg.MetadataValue.md("\n".join(["| step | state |", "| --- | --- |", *rows])),
    }

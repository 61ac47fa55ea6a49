"""More events at once than one look of the sensor submits, and executions that cannot be launched: nobody waits for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.client.tending import Tender  # noqa: E402
from holdfast.testing.sandbox import Sandbox  # noqa: E402
from holdfast_dagster.eventing import start_due  # noqa: E402

RULE = '[rules.{name}]\nrunbook = "{name}"\nevent = "{name}"\noverlap = "allow"\nparameters = {{ n = "{{{{ data.n }}}}" }}\n'
SETTINGS = "telemetry: {enabled: false}\nrun_coordinator: {module: dagster.core.run_coordinator, class: QueuedRunCoordinator}\n"
QUEUED = dg.DagsterRunStatus.QUEUED


def test_what_cannot_be_launched_and_what_stands_in_the_queue_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(tmp_path)
    for name, value in sandbox.environment.items():
        if name.startswith("HOLDFAST_"):
            monkeypatch.setenv(name, value)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text(SETTINGS)
    books = {name: sandbox.notebook(name, [("parameters", "n: int"), ("step:a", "n")]) for name in ("gone", "alarm")}
    rules = tmp_path / "rules.toml"
    rules.write_text("".join(RULE.format(name=name) for name in books))

    def send(name: str, count: int) -> None:
        about = {"specversion": "1.0", "source": "/s", "type": name}
        file = tmp_path / "events.json"
        file.write_text(json.dumps([{**about, "id": f"{name}{n}", "subject": str(n), "data": {"n": n}} for n in range(count)]))
        assert sandbox.holdfast("events", "send", file).status == 0

    with Client.open() as client, dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        tender = Tender(client, [tmp_path])
        send("gone", 120)
        tender.look(deliver=False)
        books["gone"].unlink()
        assert start_due(instance, client, tender) == [], "their runbook is not there"
        send("alarm", 3)
        assert start_due(instance, client, tender, within=0.0) == []
        begun = start_due(instance, client, tender)
        assert len(begun) == 3
        assert {(run.job_name, run.status) for run in instance.get_runs()} == {("alarm", QUEUED)}
        send("alarm", 4)  # three of them once more; the runs of those stand in the queue
        assert len(start_due(instance, client, tender)) == 1
        assert start_due(instance, client, tender) == []
        assert sorted(run.run_config["n"] for run in instance.get_runs()) == [0, 1, 2, 3]

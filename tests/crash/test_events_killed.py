"""SIGKILL between receipt, decision, start and delivery: each event starts its runbook once, and every sink hears of everything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.client import Client
from holdfast.events.inbox import list_events
from holdfast.testing.sandbox import Sandbox

pytestmark = pytest.mark.crash

RULES = """
[rules.page]
runbook = "alarm"
event = "io.prometheus.alert.firing"
parameters = { n = "{{ data.n }}" }
overlap = "queue"
key = "one"
"""
TEND = """
import sys
from pathlib import Path
from holdfast.client import Client
from holdfast.client.tending import Tender
with Client.open(folder=Path(sys.argv[1])) as client:
    print(*Tender(client).look(patience=60).started)
"""


class Place(Sandbox):
    """A sandbox with one runbook, one rule and one sink."""

    def __init__(self, folder: Path, journal: str | None = None) -> None:
        super().__init__(folder, journal)
        self.notebook("alarm", [("parameters", "n: int"), ("step:act", "!echo acted-{n} >> far")])
        (folder / "rules.toml").write_text(RULES)
        (folder / "events.toml").write_text('[sinks.log]\nfile = "out.jsonl"\nfrom = "beginning"\n')

    def send(self, faults: str = "") -> int:
        event = {"specversion": "1.0", "source": "/s", "type": "io.prometheus.alert.firing"}
        (self.folder / "event.json").write_text(json.dumps([{**event, "id": str(n), "data": {"n": n}} for n in (1, 2)]))
        return self.holdfast("events", "send", self.folder / "event.json", faults=faults).status

    def tend(self, faults: str = "") -> int:
        done = subprocess.run(
            [sys.executable, "-c", TEND, str(self.folder)],
            cwd=self.folder,
            env={**self.environment, **({"HOLDFAST_FAULTS": faults} if faults else {})},
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, -9), done.stderr
        return done.returncode

    def work(self) -> None:
        """What a worker does until nothing is left."""
        with Client.open(folder=self.folder, journal=self.journal, key_file=self.key_file) as client:
            while waiting := client.list(statuses=["queued"]):  # type: ignore[list-item]
                for execution in waiting:
                    assert self.holdfast("resume", execution.id).status == 0
                self.tend()

    def settled(self) -> None:
        far = (self.folder / "far").read_text().split()
        assert far == ["acted-1", "acted-2"], "each once, in turn"
        with Client.open(folder=self.folder, journal=self.journal, key_file=self.key_file) as client:
            assert len(list_events(client.store)) == 2
            executions = client.list()
            assert sorted(e.parameters["n"] for e in executions) == [1, 2]
            assert all(e.status == "succeeded" for e in executions)
            self.tend()
            heard = [json.loads(line) for line in (self.folder / "out.jsonl").read_text().splitlines()]
            for execution in executions:
                places = [int(h["id"].rpartition("/")[2]) for h in heard if h["subject"] == execution.id]
                assert list(dict.fromkeys(places)) == sorted(set(places)), "in order, but for repetitions"
                types = {h["type"] for h in heard if h["subject"] == execution.id}
                assert {"io.holdfast.execution.created", "io.holdfast.step.succeeded", "io.holdfast.execution.succeeded"} <= types


@pytest.mark.parametrize("fault", ["event.after_receive", "event.after_decision@2", "event.after_start", "sink.after_delivery"])
def test_killed_once(tmp_path: Path, fault: str) -> None:
    place = Place(tmp_path)
    received = "receive" in fault
    assert place.send(f"{fault}=kill" if received else "") == (-9 if received else 0)
    assert place.send() == 0, "the sender tries again, as it was never answered"
    assert place.tend("" if received else f"{fault}=kill") == (0 if received else -9)
    place.tend()
    place.work()
    place.settled()


@pytest.mark.slow
def test_killed_at_every_commit_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    place = Place(tmp_path, postgres_url)
    for nth in (1, 2):
        place.send(f"journal.before_commit@{nth}=kill")
    assert place.send() == 0
    for nth in range(1, 9):
        place.tend(f"journal.before_commit@{nth}=kill")
    place.tend()
    place.work()
    place.settled()

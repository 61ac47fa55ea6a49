"""Events start runs through Dagster's one event sensor, once each, also beside another dispatcher and after the daemon was killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.client.tending import Tender  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402

RULES = """
[rules.alarm]
runbook = "alarm"
event = "io.prometheus.alert.firing"
parameters = { n = "{{ data.n }}" }
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[DagsterHome]:
    home = DagsterHome(tmp_path)
    home.runbook("alarm", [("parameters", "n: int"), ("step:act", "!echo acted-{n} >> " + str(tmp_path / "far"))])
    (home.runbooks / "rules.toml").write_text(RULES)
    (tmp_path / "defs.py").write_text("from holdfast_dagster import build_definitions\ndefs = build_definitions('runbooks')\n")
    yield home
    home.stop()


def acted(home: DagsterHome) -> list[str]:
    far = home.folder / "far"
    return sorted(far.read_text().split()) if far.exists() else []


def send(home: DagsterHome, *numbers: int) -> None:
    event = {"specversion": "1.0", "source": "/s", "type": "io.prometheus.alert.firing"}
    file = home.folder / "event.json"
    file.write_text(json.dumps([{**event, "id": str(n), "subject": str(n), "data": {"n": n}} for n in numbers]))
    assert home.holdfast("events", "send", file).status == 0


def client_of(home: DagsterHome) -> Client:
    return Client.open(folder=home.folder, journal=home.journal, key_file=home.key_file, user="test")


def test_the_sensor_starts_runs_and_several_dispatchers_do_not_start_more(home: DagsterHome) -> None:
    send(home, 1, 2)
    daemon = home.dagster("daemon")
    with client_of(home) as client:
        tender = Tender(client)
        home.until(lambda: len(client.list()) == 2 or tender.look(deliver=False).started, "somebody dispatches")
        home.until(lambda: len(acted(home)) == 2, "both acted", 240)
        home.cut(daemon)
        send(home, 2, 3)
        tender.look(deliver=False)  # what a worker does meanwhile: the execution is queued, nobody runs it
        home.dagster("daemon")
        home.until(lambda: len(acted(home)) == 3, "the third acted", 240)
        home.until(lambda: all(e.status == "succeeded" for e in client.list()), "all end", 240)
        assert acted(home) == ["acted-1", "acted-2", "acted-3"]
        assert sorted(e.parameters["n"] for e in client.list()) == [1, 2, 3]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in home.environment.items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(home.home)) as instance:
            assert len(instance.get_runs()) == 3

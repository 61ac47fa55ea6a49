"""`holdfast worker --beside-dagster`: what rules start is Dagster's to begin, for a while; everything else is the worker's."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.client import Client
from holdfast.config import Config
from holdfast.engine.service import Service
from holdfast.executions import waking
from holdfast.foundation import process
from holdfast.testing.sandbox import Sandbox


def test_what_a_rule_started_is_left_to_dagster_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(tmp_path)
    path = sandbox.notebook("quick", [("step:a", "!echo $0 >> far.txt")])
    for name in ("HOLDFAST_JOURNAL", "HOLDFAST_KEY_FILE"):
        monkeypatch.setenv(name, sandbox.environment[name])
    monkeypatch.chdir(tmp_path)
    with Client.open() as client:
        client.start(path, id="plain")
        client.start(path, id="ruled", key="rule/ours/17")
        Service(client.store, client.config, courtesy=3600).run(once=True)
        assert (sandbox.status("plain"), sandbox.status("ruled")) == ("succeeded", "queued")
        late = Service(client.store, client.config, courtesy=0.1)

        def begun() -> bool:
            late.run(once=True)
            return sandbox.status("ruled") == "succeeded"

        sandbox.until(begun, "what nobody began")
    assert len((tmp_path / "far.txt").read_text().splitlines()) == 2


def test_one_process_serves_all_who_tell_dagster_before_it_has_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty runs that are overdue on a machine under strain are no reason for twenty processes that import Dagster."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$3" >> {tmp_path}/told\nwhile [ ! -e {tmp_path}/looked ]; do sleep 0.05; done\n')
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    homes = [tmp_path / "one", tmp_path / "other"]

    def tell() -> list[str]:
        for home in homes:
            home.mkdir(exist_ok=True)
            assert waking.tell(waking.Scheduler(launcher="dagster", home=str(home), host=process.host()), Config.load(folder=tmp_path))
        return sorted((tmp_path / "told").read_text().split()) if (tmp_path / "told").exists() else []

    for _ in range(5):
        tell()
    sandbox = Sandbox(tmp_path)
    sandbox.until(lambda: len(tell()) >= 2, "both processes")
    assert tell() == sorted(map(str, homes)), "each home once"
    (tmp_path / "looked").touch()
    sandbox.until(lambda: len(tell()) >= 4, "both once more, for what has come since")

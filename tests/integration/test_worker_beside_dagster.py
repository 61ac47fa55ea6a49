"""`holdfast worker --beside-dagster`: what rules start is Dagster's to begin, for a while; everything else is the worker's."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.client import Client
from holdfast.engine.service import Service
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

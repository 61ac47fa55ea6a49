"""The how-to about alerts: its rule is right, its commands print what it shows, and the alert starts the runbook."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from holdfast.testing.sandbox import Sandbox

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "start-a-runbook-from-an-alert.md").read_text()
ALERT = {
    "version": "4",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "NodeDiskFilling", "instance": "db-1:9100", "severity": "page"},
            "annotations": {},
            "startsAt": "2026-11-21T04:10:22.119Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "25b8bf0e59554334",
        }
    ],
}


def test_every_command(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    (tmp_path / "runbooks").mkdir()
    made = sandbox.notebook("disk-filling", [("parameters", "instance: str"), ("step:look", "print(instance)")])
    made.rename(tmp_path / "runbooks" / made.name)
    rule, sources = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "runbooks" / "rules.toml").write_text(rule)
    (tmp_path / "alert.json").write_text(json.dumps(ALERT))
    sandbox.environment["ALERTMANAGER_TOKEN"] = "t0ken"
    try_it, see = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for block in (try_it, see):
        if block is see:
            (tmp_path / "events.toml").write_text(sources)
            assert sandbox.holdfast("events", "send", tmp_path / "alert.json", "--source", "alertmanager").status == 0
        out = ""
        for line in block.strip().splitlines():
            if line.startswith("$ holdfast "):
                done = sandbox.holdfast(*shlex.split(line[len("$ holdfast ") :]))
                assert done.status == 0, done.err
                out = done.out
            else:
                assert line in out
    assert "NodeDiskFilling" in out
    (listed,) = sandbox.holdfast("events", "list", "--json").json
    assert listed["event"]["subject"] == "25b8bf0e59554334"
    (sent,) = sandbox.holdfast("events", "send", tmp_path / "alert.json", "--source", "alertmanager", "--json").json
    assert not sent["new"]
    (would,) = sandbox.holdfast("rules", "test", tmp_path / "alert.json", "--source", "alertmanager", "--json").json
    assert would["parameters"] == {"instance": "db-1:9100"}
    assert sandbox.holdfast("worker", "--once").status == 0
    (execution,) = sandbox.holdfast("list", "--json").json
    assert (execution["status"], execution["parameters"]) == ("succeeded", {"instance": "db-1:9100"})
    assert execution["id"] in sandbox.holdfast("events", "show", "1").out


def test_a_bad_rule_fails_the_check(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.notebook("disk", [("parameters", "instance: str")])
    (tmp_path / "rules.toml").write_text('[rules.a]\nrunbook = "disk"\nevent = "x"\nparameters = { instanse = 1 }\n')
    done = sandbox.holdfast("rules", "check", "--json")
    assert done.status == 1
    (trouble,) = done.json["troubles"]
    assert trouble["code"] == "HF280"
    assert "'instance'" in trouble["cure"]
    assert "instanse" in sandbox.holdfast("rules", "check").out

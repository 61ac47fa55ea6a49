"""A runbook's own table of commands that only read counts when it runs, when it is checked, and before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.testing.sandbox import Sandbox

TOOL = "#!/bin/sh\necho called >> far.txt\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """With a program that only reads, as its table says."""
    made = Sandbox(tmp_path, environment={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    (tmp_path / "bgpctl").write_text(TOOL)
    (tmp_path / "bgpctl").chmod(0o755)
    (tmp_path / "pack.toml").write_text('[commands.bgpctl]\nreads = ["show"]\n')
    return made


def test_a_command_of_the_table_is_a_read(sandbox: Sandbox) -> None:
    cells = [("step:a", "import subprocess\n!bgpctl show\nx = !bgpctl show me\nsubprocess.run(['bgpctl', 'show'])\n!bgpctl reload")]
    book = sandbox.notebook("nb", cells, commands="pack.toml")
    assert sandbox.holdfast("run", book, "--id", "x").status == 0
    calls = sandbox.holdfast("show", "x", "--calls", "--json").json["calls"]
    assert [c["effect"] for c in calls] == ["read", "read", "read", "write"]


def test_a_table_that_is_not_there_is_told_before_anything_runs(sandbox: Sandbox) -> None:
    book = sandbox.notebook("nb", [("step:a", "!bgpctl show")], commands="pakc.toml")
    result = sandbox.holdfast("run", book, "--id", "x")
    assert (result.status, sandbox.status("x")) == (2, "")
    assert "HF104" in result.err
    assert "pakc.toml" in result.err
    found = sandbox.holdfast("check", book, "--json").json
    assert [f["code"] for f in found if f["severity"] == "error"] == ["NB004"]

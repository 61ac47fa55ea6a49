"""``holdfast new``: what it writes passes every check and runs to its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.testing.sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, environment={"HOLDFAST_HOLD_FOR": "0"})


def test_a_new_runbook_passes_the_checks_and_runs_to_its_end(sandbox: Sandbox) -> None:
    assert sandbox.holdfast("new", "queue-stuck", "--owner", "payments team").status == 0
    assert sandbox.holdfast("check", "queue-stuck.ipynb", "--fail-on", "info").status == 0
    assert sandbox.holdfast("new", "queue-stuck").status == 2  # it is not overwritten
    asked = sandbox.holdfast("run", "queue-stuck.ipynb", "--id", "x", "--json")
    for verdict in ("restart", "yes"):
        assert asked.status == 3, asked
        (prompt,) = sandbox.holdfast("prompts", "--json").json
        assert sandbox.holdfast("answer", prompt["id"], verdict).status == 0
        asked = sandbox.holdfast("resume", "x", "--json")
    assert asked.status == 0, asked
    (effect,) = sandbox.holdfast("effects", "x", "--json").json
    assert (effect["target"], effect["before"], effect["after"]) == ("example-0", "stuck", "restarted")
    sandbox.assert_laws("x")

"""What stops a cell stops it for good: a cancel or a timeout ends the command that runs, and nothing of the cell comes after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.foundation import clock
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.counting import CountingServer

CELL = "!sleep 30; echo first >> far.txt\n!echo second >> far.txt\nx = !echo third >> far.txt"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A journal and a folder of its own."""
    return Sandbox(tmp_path)


def begun(sandbox: Sandbox) -> bool:
    return bool(sandbox.status("x")) and any(e.kind == "call.intent" for e in sandbox.entries("x"))


def far(sandbox: Sandbox) -> str:
    file = sandbox.folder / "far.txt"
    return file.read_text() if file.exists() else ""


def commands(sandbox: Sandbox) -> list[Path]:
    """The commands of ``x`` that run, or ran and were not looked after."""
    from holdfast.executions.running import held

    return [p.parent for p in (sandbox.folder / ".holdfast" / "shell").glob("x.*/start") if held(p.parent)]


def test_a_cancel_ends_the_command_and_the_cell(sandbox: Sandbox) -> None:
    book = sandbox.notebook("nb", [("step:a", CELL), ("step:b", "!echo b >> far.txt")])
    engine = sandbox.start("run", book, "--id", "x", "--json")
    sandbox.until(lambda: begun(sandbox) and commands(sandbox), "the command")
    assert sandbox.holdfast("cancel", "x").status == 0
    engine.communicate(timeout=60)
    assert engine.returncode == 4
    assert far(sandbox) == ""
    assert not commands(sandbox)


def test_a_timeout_ends_the_command_and_fails_the_step(sandbox: Sandbox) -> None:
    book = sandbox.notebook("nb", [("step:a", CELL, {"timeout": 1}), ("step:b", "!echo b >> far.txt")])
    result = sandbox.holdfast("run", book, "--id", "x", "--json")
    assert result.status == 1
    assert result.json["failure"]["code"] == "HF180"
    assert far(sandbox) == ""


def test_a_cancel_ends_a_command_whose_kernel_and_engine_are_gone(sandbox: Sandbox) -> None:
    book = sandbox.notebook("nb", [("step:a", CELL)])
    engine = sandbox.start("run", book, "--id", "x", "--json")
    sandbox.until(lambda: begun(sandbox) and commands(sandbox), "the command")
    sandbox.kill(engine)
    assert commands(sandbox), "the supervisor lives on"
    until = clock.monotonic() + 10
    while not (commands(sandbox)[0] / "out").exists() and clock.monotonic() < until:
        clock.sleep(0.02)
    assert sandbox.holdfast("cancel", "x").status == 0
    sandbox.until(lambda: not commands(sandbox), "the end of the command")
    assert far(sandbox) == ""


POST = "import requests\nrequests.post(url + '/a')"


@pytest.mark.parametrize("way", ["cancel", "abort"])
def test_a_cancelled_execution_asks_nobody_any_more(sandbox: Sandbox, way: str) -> None:
    branches: list[Any] = [
        ("parameters", "url: str"),
        ("step:a", "1"),
        ("step:l", POST, {"after": ["a"]}),
        ("step:r", POST, {"after": ["a"]}),
    ]
    with CountingServer(sandbox.folder) as server:
        book = sandbox.notebook("nb", branches)
        run = sandbox.holdfast("run", book, "--id", "x", "-p", "url", server.url, "--json", faults="call.after_effect=kill")
        assert (run.status, len(run.json["prompts"])) == (3, 2)
        if way == "cancel":
            assert sandbox.holdfast("cancel", "x").status == 0
        else:
            assert sandbox.holdfast("answer", run.json["prompts"][0]["id"], "abort").status == 0
            assert sandbox.holdfast("resume", "x").status == 4
        assert sandbox.holdfast("prompts", "--json").json == []
        states = {p["state"] for p in sandbox.holdfast("prompts", "--all", "--json").json}
        assert states == ({"withdrawn"} if way == "cancel" else {"answered", "withdrawn"})
        late = sandbox.holdfast("answer", run.json["prompts"][1]["id"], "run")
        assert (late.status, "HF401" in late.err) == (2, True)
        assert len(server.requests("POST")) == 2

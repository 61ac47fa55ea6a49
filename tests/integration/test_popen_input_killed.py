"""A command that is fed through a pipe when its kernel dies: never a truncated result without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.testing.sandbox import Sandbox

FED = {
    "asyncio": (
        "import asyncio\nfrom asyncio.subprocess import PIPE\n"
        "p = await asyncio.create_subprocess_shell('cat', stdin=PIPE, stdout=PIPE)\nprint((await p.communicate(b'hello'))[0])"
    ),
    "popen": (
        "import subprocess\np = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\nprint(p.communicate(b'hello')[0])"
    ),
}


@pytest.mark.parametrize("way", FED)
def test_input_that_may_be_short_is_told(tmp_path: Path, way: str) -> None:
    sandbox = Sandbox(tmp_path)
    book = sandbox.notebook("fed", [("step:feed", FED[way])])
    done = sandbox.holdfast("run", book, "--id", "x", "--json", faults="call.after_outcome=kill-once")
    assert sandbox.struck()
    assert done.status == 1
    assert "HF310" in done.out


@pytest.mark.parametrize("way", FED)
def test_input_that_was_complete_is_followed(tmp_path: Path, way: str) -> None:
    sandbox = Sandbox(tmp_path)
    cell = FED[way] + "\n!printf 'x\\n' >> far.txt\n"
    book = sandbox.notebook("fed", [("step:feed", cell)])
    done = sandbox.holdfast("run", book, "--id", "x", "--json", faults="call.after_outcome@2=kill-once")
    assert sandbox.struck()
    assert done.status == 0, done
    assert "hello" in (tmp_path / ".holdfast" / "outputs" / "x.ipynb").read_text()
    assert (tmp_path / "far.txt").read_text() == "x\n"

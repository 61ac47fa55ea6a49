"""A kernel that is killed before it answers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from holdfast.testing.sandbox import Sandbox


def test_a_kernel_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    book = sandbox.notebook("n", [("step:a", "!printf 'a\\n' >> far.txt")])
    engine = sandbox.start("run", book, "--id", "x", "--json")
    sandbox.until(lambda: sandbox.kernels(engine.pid), "a kernel")
    os.kill(sandbox.kernels(engine.pid)[0], signal.SIGKILL)
    out, err = engine.communicate(timeout=60)
    assert engine.returncode == 0, (out, err)
    assert (tmp_path / "far.txt").read_text() == "a\n"

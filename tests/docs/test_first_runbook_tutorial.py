"""The tutorial's commands do what it prints."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from holdfast.testing.sandbox import Sandbox

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"


def test_every_command_of_the_first_runbook(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    shutil.copy(TUTORIALS / "first-runbook.ipynb", tmp_path / "first.ipynb")
    blocks = re.findall(r"```console\n(.*?)```", (TUTORIALS / "first-runbook.md").read_text(), re.DOTALL)
    assert len(blocks) == 8
    for block in blocks:
        out = ""
        for line in block.strip().splitlines():
            if not line.startswith("$ "):
                assert line in out, f"{line!r} is not in what the command printed:\n{out}"
                continue
            typed, _, wanted = line[2:].partition("  # exit ")
            words = shlex.split(typed)
            if words[0] == "holdfast":
                done = sandbox.holdfast(*words[1:])
                out, status = done.out, done.status
            else:
                plain = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
                out, status = plain.stdout, plain.returncode
            assert status == int(wanted or 0), f"{typed}: {status}\n{out}"

"""The tutorial about an alert that comes in: its command says what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorials" / "an-alert-comes-in.md").read_text()
#: What differs from one time to the next.
VARYING = re.compile(r"127\.0\.0\.1:\d+|token=\S+|[0-9a-f]{16}")


def test_it_says_what_the_page_shows() -> None:
    (module,) = re.findall(r"`python -m (holdfast\.testing\.\w+)`", PAGE)
    assert f"-m {module}" in (ROOT / "Makefile").read_text().partition("\ndemo:")[2].partition("\n\n")[0]
    path = os.pathsep.join(place for place in os.environ["PATH"].split(os.pathsep) if not (Path(place) / "prometheus").exists())
    command = [sys.executable, "-m", module, "--by-itself"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    said = [VARYING.sub("…", line) for line in done.stdout.splitlines()]
    shown = [line for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(shown) > 10
    assert [line for line in shown if VARYING.sub("…", line) not in said] == []

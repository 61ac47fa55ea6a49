"""What `make check` makes of its two halves of unit tests, each of which may have no test of the kind that was asked for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

# pytest's own: 0 all passed, 1 some failed, 5 there was none
CASES = [
    (0, 0, "", 0), (0, 5, "-k word", 0), (5, 0, "-k 'two words'", 0), (5, 5, "-k word", 2), (5, 5, "--last-failed", 0),
    (5, 0, "", 2), (1, 0, "-k word", 2), (0, 1, "", 2), (5, 1, "--last-failed", 2),
]  # fmt: skip


@pytest.mark.parametrize(("beside", "rest", "arguments", "expected"), CASES)
def test_the_status_of_both_halves(root: Path, tmp_path: Path, beside: int, rest: int, arguments: str, expected: int) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("ruff", "python"):
        (tools / name).write_text("#!/bin/sh\nexit 0\n")
    (tools / "pytest").write_text(f'#!/bin/sh\ncase "$*" in *cache/beside*) exit {beside} ;; *) exit {rest} ;; esac\n')
    for tool in tools.iterdir():
        tool.chmod(0o700)
    words = [
        "make",
        "-o",
        f"{tmp_path}/.test",
        "check",
        f"VENV={tmp_path}",
        f"PYTEST={tools}/pytest",
        f"ARGS={arguments}",
        "CHECK_CACHE=cache",
    ]
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, env=plain, timeout=60)
    assert done.returncode == expected, done.stdout + done.stderr

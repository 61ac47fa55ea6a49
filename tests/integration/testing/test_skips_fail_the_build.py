"""Under ``--no-skips`` a test that did not run fails the build, unless tests/skips.txt names it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"


@pytest.mark.parametrize(
    ("arguments", "allowed", "code"),
    [
        ((), "", 0),
        (("--no-skips",), "", 1),
        (("--no-skips",), "test_other.py::*  # another one\n", 1),
        (("--no-skips",), "test_it.py::test_skipped  # needs a reason\n", 0),
    ],
)
def test_a_skip_fails_unless_it_is_allowed(tmp_path: Path, arguments: tuple[str, ...], allowed: str, code: int) -> None:
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "skips.txt").write_text(allowed)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_runs(): pass\n@pytest.mark.skip(reason='why')\ndef test_skipped(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("SKIPPED WITHOUT LEAVE test_it.py::test_skipped" in done.stdout) == bool(code)

"""Tutorials are executed, and settings shown in the documentation are settings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from holdfast.config import Config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOLDFAST = Path(sys.executable).with_name("holdfast")


def holdfast(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a reader would."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")} | {"TMPDIR": str(folder)}
    return subprocess.run([HOLDFAST, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False)


def test_a_tutorial_runs_as_it_stands(tmp_path: Path) -> None:
    tutorial = DOCS / "tutorials" / "a-runbook-that-survives.ipynb"  # the other one fails on purpose: see test_first_runbook_tutorial
    done = holdfast(tmp_path, "run", str(tutorial), "--id", "lesson", "--output", str(tmp_path / "out.ipynb"))
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [c for c in nbformat.read(tmp_path / "out.ipynb", as_version=4).cells if c.cell_type == "code"]
    assert "servers patched once and announced once" in "".join(o.get("text", "") for o in cells[-1].outputs)


@pytest.mark.parametrize("tutorial", sorted((DOCS / "tutorials").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_tutorial_passes_the_checker(tutorial: Path, tmp_path: Path) -> None:
    done = holdfast(tmp_path, "--json", "check", str(tutorial))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.findall(r'"(?:level|severity)": *"(?:error|warning)"', json.dumps(json.loads(done.stdout)))


def test_settings_shown_in_the_documentation_are_accepted(tmp_path: Path) -> None:
    found = 0
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for block in re.findall(r"^ *```toml\n(.*?)^ *```", page.read_text(), flags=re.M | re.S):
            if re.search(r"^ *(journal|lease\w*) *=", block, flags=re.M):
                (tmp_path / "holdfast.toml").write_text(re.sub(r"^   ", "", block, flags=re.M))
                assert Config.load(folder=tmp_path, environment={}).sources, page
                found += 1
    assert found >= 2

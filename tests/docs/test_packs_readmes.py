"""Each pack's README has one command that shows its runbooks at work, each integration's page one that tests it: as written, they do."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.testing.rehearsal import find

ROOT = Path(__file__).parents[2]
PACKS = sorted(p for p in (ROOT / "runbooks").iterdir() if (p / "rehearsals.py").exists())
PAGES = sorted(p for p in (ROOT / "docs" / "reference" / "integrations").glob("*.md") if p.name != "README.md")


def commands(pack: Path) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (pack / "README.md").read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def typed(command: str, path: str) -> subprocess.CompletedProcess[str]:
    """What came of a line in a shell."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")} | {"PATH": path}
    return subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


def test_a_command_on_a_stage_is_found_without_an_activated_environment() -> None:
    done = typed(f"{sys.executable} -m holdfast.testing.rehearse runbooks/linux/disk-filling.ipynb -- holdfast --version", os.defpath)
    assert done.returncode == 0 and "disk-filling" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("pack", PACKS, ids=lambda p: p.name)
def test_a_pack_has_one_command_and_a_line_for_each_runbook(pack: Path) -> None:
    (command,) = commands(pack)
    _, _, module, book = shlex.split(command)
    assert module == "holdfast.testing.rehearse"
    assert find(ROOT / book).runbook == Path(book).stem
    assert Path(book).parent == pack.relative_to(ROOT)
    text = (pack / "README.md").read_text()
    assert sorted(re.findall(r"^\| \[([\w-]+)\]\(\1\.ipynb\) \|", text, re.MULTILINE)) == sorted(b.stem for b in pack.glob("*.ipynb"))
    assert "-- holdfast up runbooks" in text


@pytest.mark.slow
@pytest.mark.parametrize("pack", PACKS, ids=lambda p: p.name)
def test_the_command_does_what_it_says(pack: Path) -> None:
    rehearsal = find(ROOT / shlex.split(commands(pack)[0])[3])
    if rehearsal.needs is not None and not rehearsal.needs():
        pytest.skip(f"what {rehearsal.runbook} is rehearsed against is not installed")
    (command,) = commands(pack)
    done = typed(command, f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "It was killed 1 time; each of" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_an_integrations_page_names_its_suite(page: Path) -> None:
    text = page.read_text().partition("## How it is tested for real")[2]
    named = [word for line in re.findall(r"`pytest ([^`]+)`", text) for word in line.split() if word.endswith(".py")]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []

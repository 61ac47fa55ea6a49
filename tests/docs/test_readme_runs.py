"""The front page is executed: its notebook cells become a notebook, its example commands run against it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(kind: str, text: str = README) -> list[str]:
    """The fenced blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, flags=re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The first runbook as the page shows it, with the script and the list of hosts that it works with."""
    section = README[README.index("## A first runbook") : README.index("## Commands")]
    cells = blocks("python", section)
    assert len(cells) == 3
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c.strip()) for c in cells])
    notebook.metadata.kernelspec = {"name": "holdfast", "display_name": "Holdfast", "language": "python"}
    nbformat.write(notebook, tmp_path / "drain.ipynb")
    (tmp_path / "hosts.txt").write_text("web-1\nweb-2\nweb-3\n")
    script = tmp_path / "drain.sh"
    script.write_text('#!/bin/sh\necho "$1" >> drained.txt\necho "$1 drained"\n')
    script.chmod(0o755)
    return tmp_path


def holdfast(folder: Path, command: str) -> str:
    """Run one line of the page; it must succeed."""
    words = shlex.split(command)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_example_does_what_the_page_says(folder: Path) -> None:
    (example,) = blocks("sh example")
    said = {line: holdfast(folder, line) for line in example.splitlines() if line}
    assert len(said) == 4
    assert (folder / "drained.txt").read_text().split() == ["web-1", "web-2", "web-3"]
    assert "drain.sh web-2" in said["holdfast show first --calls"]
    assert "first" in said["holdfast list"]
    holdfast(folder, "holdfast resume first")
    assert (folder / "drained.txt").read_text().split() == ["web-1", "web-2", "web-3"], "a finished execution is left as it is"


def test_python_blocks_are_python() -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    for block in blocks("python"):
        compile(TransformerManager().transform_cell(block), "README.md", "exec")


def test_commands_named_on_the_page_exist() -> None:
    import click

    from holdfast.cli.main import cli

    named = set(re.findall(r"`holdfast ([a-z]+)", README)) | {line.split()[1] for b in blocks("sh example") for line in b.splitlines()}
    assert named <= set(cli.list_commands(click.Context(cli)))


def test_papermill_finds_the_engine_named_on_the_page() -> None:
    from papermill.engines import papermill_engines

    papermill_engines.register_entry_points()
    assert papermill_engines.get_engine("holdfast").__name__ == "HoldfastEngine"

"""A notebook written for dagstermill, run as it is; and the page that compares the two."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from holdfast_dagster import build_definitions

ROOT = Path(__file__).parents[2]
#: As dagstermill's documentation shows one: no tags but `parameters`, an old nbformat without cell ids, the kernel `python3`.
CELLS = [
    ([], "import math\nimport sys"),
    (["parameters"], "a = 3\nb = 5"),
    ([], "total = a + b\nprint('total', total)"),
    ([], "print('kernel', sys.modules['ipykernel'].__version__, 'dagster' in sys.modules)\nmath.sqrt(total)"),
]


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_JOURNAL", f"sqlite:///{tmp_path}/.holdfast/journal.db")


Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a notebook of these cells."""

    def run(cells: list[tuple[list[str], str]], **config: Any) -> dg.ExecuteInProcessResult:
        made: list[dict[str, Any]] = [
            {"cell_type": "code", "metadata": {"tags": t}, "source": s, "outputs": [], "execution_count": None} for t, s in cells
        ]
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        text = json.dumps({"nbformat": 4, "nbformat_minor": 2, "metadata": {"kernelspec": spec}, "cells": made})
        path = tmp_path / "add.ipynb"
        path.write_text(text)
        job = build_definitions(path).resolve_job_def("add")
        result = job.execute_in_process(run_config=config, raise_on_error=False)
        assert path.read_text() == text, "the notebook itself is left alone"
        return result

    return run


def written(tmp_path: Path) -> str:
    """What the one executed notebook shows."""
    (path,) = (tmp_path / ".holdfast" / "outputs").glob("*.ipynb")
    cells = json.loads(path.read_text())["cells"]
    return "".join("".join(o.get("text", "")) or str(o.get("data") or o.get("evalue")) for c in cells for o in c.get("outputs", []))


def test_a_parameterised_notebook_runs_unchanged(run: Run, tmp_path: Path) -> None:
    result = run(CELLS, b=22)
    assert result.success
    assert len(result.get_step_success_events()) == 3, "each code cell is a step"
    shown = written(tmp_path)
    assert "total 25" in shown
    assert "5.0" in shown


def test_it_runs_on_the_current_kernel_without_dagster_inside(run: Run, tmp_path: Path) -> None:
    assert run(CELLS).success
    version, inside = re.findall(r"kernel (\d+)\S* (\w+)", written(tmp_path))[0]
    assert int(version) >= 7
    assert inside == "False"


def test_the_notebook_of_a_failed_run_is_kept(run: Run, tmp_path: Path) -> None:
    result = run([*CELLS, (["step:bad"], "#| on_failure: stop\nraise ValueError('no such thing')")])
    assert not result.success
    shown = written(tmp_path)
    assert "total 8" in shown
    assert "no such thing" in shown


def test_a_check_that_fails_is_told_and_the_run_goes_on(run: Run) -> None:
    result = run([*CELLS[:2], (["asset:sum"], "total = a + b"), (["check:large"], "total > 100"), (["check:even"], "total % 2 == 0")])
    assert result.success
    assert {e.check_name: e.passed for e in result.get_asset_check_evaluations()} == {"large": False, "even": True}


def test_every_line_of_the_comparison_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "explanation" / "beyond-dagstermill.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")][2:]
    named = [re.findall(r"`(tests/\S+\.py)::(\w+)`", row) for row in rows]
    assert len(rows) >= 12
    for row, tests in zip(rows, named, strict=True):
        assert tests, row
        for file, test in tests:
            tree = ast.parse((ROOT / file).read_text())
            assert test in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, f"{file}::{test}"

"""Every case of ``checkpoint_cases/*.cases``: cells, death, restore in a new process; the result must be that of an uninterrupted run, or
the author must have been told when the cell completed. Never wrong without a word."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from types import ModuleType
from typing import Any

import pytest


def _load() -> ModuleType:
    path = pathlib.Path(__file__).parent / "checkpoint_cases" / "harness.py"
    spec = importlib.util.spec_from_file_location("checkpoint_case_harness", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


harness = _load()
CASES = list(harness.read_cases())


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    harness.warm_up()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_restored_run_ends_as_the_uninterrupted_one_or_was_flagged(case: Any) -> None:
    outcome = harness.run_case(case)
    assert outcome.verdict in {"ok", "FLAGGED"}, outcome.detail
    assert outcome.verdict == "ok" or case.flagged, f"flagged, but it used to be restored: {outcome.flags} {outcome.detail}"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["lazy", "eager"])
@pytest.mark.parametrize("case", [c for c in CASES if not c.name.startswith("more_")], ids=lambda c: c.name)
def test_lazy_and_complete_restores_end_alike(case: Any, mode: str) -> None:
    outcome = harness.run_case(case, mode)
    assert outcome.verdict in {"ok", "FLAGGED"}, outcome.detail


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if len(c.cells) > 2], ids=lambda c: c.name)
def test_a_death_after_any_cell_is_made_good(case: Any) -> None:
    for kill in range(1, len(case.cells)):
        outcome = harness.run_case(case, kill=kill)
        assert outcome.verdict in {"ok", "FLAGGED"}, f"after cell {kill}: {outcome.detail}"

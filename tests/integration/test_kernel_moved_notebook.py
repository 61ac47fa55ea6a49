"""A notebook that was renamed or moved goes on with its execution; a copy of one begins its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from holdfast.journal.opening import open_store
from holdfast.model.execution import Execution, Status
from holdfast.testing.kernels import Front, Ran

EFFECT = "!echo b >> eff"
CELLS = [("a", "x = 1"), ("b", EFFECT), ("c", "1/0"), ("d", "x")]


def notebook(path: Path, cells: list[tuple[str, str]]) -> Path:
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "id": i, "source": s, "metadata": {}, "outputs": [], "execution_count": None} for i, s in cells
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def executions(folder: Path) -> list[Execution]:
    store = open_store(f"sqlite:///{folder}/.holdfast/journal.db", key_file=folder / ".holdfast" / "key")
    try:
        return sorted(store.headers(), key=lambda h: h.created_at)
    finally:
        store.close()


def effects(folder: Path) -> int:
    return (folder / "eff").read_text().count("b")


def run_all(folder: Path, path: Path, cells: list[tuple[str, str]], *, kill: bool = False) -> dict[str, Ran]:
    with Front(folder, notebook=path) as front:
        ran = front.run_all(cells)
        if not kill:
            front.shutdown()
    return ran


def test_a_moved_notebook_resumes_and_nothing_happens_twice(tmp_path: Path) -> None:
    """Renamed after an orderly end, then moved to another folder after a kill; the last cells end the same execution."""
    old = notebook(tmp_path / "n.ipynb", CELLS)
    assert [r.state for r in run_all(tmp_path, old, CELLS).values()] == ["ran", "ran", "failed"]

    renamed = old.rename(tmp_path / "m.ipynb")
    with Front(tmp_path, notebook=renamed) as front:
        assert "is suspended" in front.run("%holdfast").notices[0]
        ran = front.run_all(CELLS)  # killed at the end
    assert [r.state for r in ran.values()] == ["skipped", "skipped", "failed"]
    [banner] = ran["a"].notices
    [header] = executions(tmp_path)
    assert header.id in banner
    assert f"moved here from {old}" in banner
    assert "2 of 4 steps" in banner
    assert header.path == str(renamed)

    (tmp_path / "folder").mkdir()
    elsewhere = renamed.rename(tmp_path / "folder" / "k.ipynb")
    mended = [*CELLS[:2], ("c", "y = x + 1"), CELLS[3]]
    notebook(elsewhere, mended)  # a cell that failed may be edited on the way
    ran = run_all(tmp_path, elsewhere, mended)
    assert [r.state for r in ran.values()] == ["skipped", "skipped", "ran", "ran"]
    assert f"moved here from {renamed}" in ran["a"].notices[0]
    [header] = executions(tmp_path)
    assert (header.path, header.status) == (str(elsewhere), Status.SUCCEEDED)
    assert effects(tmp_path) == 1


def test_neither_a_copy_nor_a_notebook_with_other_sources_takes_over_an_execution(tmp_path: Path) -> None:
    """The ids are the same, as in notebooks made from one template; but the first file is still there, or a recorded source differs."""
    old = notebook(tmp_path / "n.ipynb", CELLS)
    run_all(tmp_path, old, CELLS, kill=True)
    copy = tmp_path / "copy.ipynb"
    shutil.copy(old, copy)
    ran = run_all(tmp_path, copy, CELLS, kill=True)
    assert [r.state for r in ran.values()] == ["ran", "ran", "failed"]
    assert not [n for n in ran["a"].notices if "resumes" in n]

    old.unlink()
    copy.unlink()
    cells = [("a", "x = 2"), *CELLS[1:]]
    other = notebook(tmp_path / "other.ipynb", cells)
    assert [r.state for r in run_all(tmp_path, other, cells, kill=True).values()] == ["ran", "ran", "failed"]
    assert [h.path for h in executions(tmp_path)] == [str(old), str(copy), str(other)]
    assert effects(tmp_path) == 3

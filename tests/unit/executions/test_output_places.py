"""Putting output files in their place while others do the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.executions import places
from holdfast.foundation import process


def test_writers_of_other_machines_with_the_same_process_id_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "x.ipynb"
    moved: list[Path] = []
    replace = os.replace

    def another_writes_first(beside: Path, path: Path) -> None:
        if not moved:  # a pod whose only process has our id, too
            moved.append(beside)
            with monkeypatch.context() as patch:
                patch.setattr(process, "boot_id", lambda: "another")
                places.put_in_place(output, "theirs")
        replace(beside, path)

    monkeypatch.setattr(os, "replace", another_writes_first)
    places.put_in_place(output, "ours")
    assert output.read_text() == "ours"
    assert [p.name for p in tmp_path.iterdir()] == ["x.ipynb"]


def test_only_what_the_dead_of_this_machine_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "x.ipynb"
    kill = "import os, sys; from pathlib import Path; from holdfast.executions import places; places.faults.point = lambda _: os._exit(1)"
    subprocess.run([sys.executable, "-c", f"{kill}\nplaces.put_in_place(Path(sys.argv[1]), 'half')", str(output)], check=False, timeout=60)
    assert len(list(tmp_path.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(process, "boot_id", lambda: "another")
        places.tidy(output)
    assert len(list(tmp_path.iterdir())) == 1, "its process may live there"
    places.tidy(output)
    assert not list(tmp_path.iterdir())

"""Which folder ``holdfast up`` serves, and where it keeps its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.cli.up import places
from holdfast.errors import OperatorError


def test_here_and_its_runbooks(tmp_path: Path) -> None:
    assert places(None, tmp_path) == (tmp_path, tmp_path)
    (tmp_path / "runbooks").mkdir()
    assert places(None, tmp_path) == (tmp_path / "runbooks", tmp_path)
    assert places(Path("runbooks"), tmp_path) == (tmp_path / "runbooks", tmp_path)
    assert places(Path(), tmp_path) == (tmp_path, tmp_path)


def test_another_folder_keeps_its_own_state_or_that_of_its_project(tmp_path: Path) -> None:
    inner = tmp_path / "team" / "runbooks"
    inner.mkdir(parents=True)
    assert places(inner, tmp_path) == (inner, inner)
    (tmp_path / "team" / "holdfast.toml").touch()
    assert places(inner, tmp_path) == (inner, tmp_path / "team")
    assert places(Path("team/runbooks"), tmp_path) == (inner, tmp_path / "team")


def test_one_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="HF257"):
        places(Path("nowhere"), tmp_path)

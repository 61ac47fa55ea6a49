"""A Dagster home that several processes may open at once from its first moment."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("dagster")

from holdfast_dagster.instance import is_warm, set_up


def test_a_home_has_its_tables_before_anybody_is_started(tmp_path: Path) -> None:
    assert set_up(tmp_path / "home")
    assert not set_up(tmp_path / "home")
    assert is_warm(tmp_path / "home")
    databases = [*(tmp_path / "home").rglob("*.db")]
    assert len(databases) >= 3
    for database in databases:
        with sqlite3.connect(database) as db:
            assert db.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_settings_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert not set_up(tmp_path)
    assert not is_warm(tmp_path)
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"

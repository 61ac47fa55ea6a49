"""A Dagster home that several processes may open at once from its first moment."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dagster")

from holdfast_dagster.instance import SETTINGS, is_warm, set_up


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


@pytest.mark.parametrize(
    ("given", "seconds"), [("", 0.25), (", dequeue_interval_seconds: 2", 2.0), (", dequeue_interval_seconds: 0", 0.05)]
)
def test_the_queue_keeps_its_limits_and_is_looked_at_more_often(tmp_path: Path, given: str, seconds: float) -> None:
    """Dagster's own queue counts in whole seconds, and with nought it would never rest."""
    import dagster as dg

    (tmp_path / "dagster.yaml").write_text(SETTINGS.replace("{dequeue_use_threads: true", "{dequeue_use_threads: true" + given))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue: Any = instance.run_coordinator
        assert queue.dequeue_interval_seconds == seconds and queue.dequeue_use_threads
        limits = instance.get_concurrency_config().run_queue_config
        assert limits is not None and limits.max_concurrent_runs == 10
        assert [t["key"] for t in limits.tag_concurrency_limits] == ["holdfast/in_turn"]
        assert "QUEUED_RUN_COORDINATOR" in instance.get_required_daemon_types()

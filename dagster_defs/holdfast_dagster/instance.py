"""A Dagster instance for one machine, set up so that runs can wait without a process and survive their workers."""

from __future__ import annotations

from pathlib import Path

#: ``dagster.yaml``. Its owner may change it; it is written only where there is none.
SETTINGS = """\
# A Dagster instance for Holdfast on one machine. Everything is in this folder (SQLite); see docs/how-to/run-with-dagster.md.
run_launcher:
  module: holdfast_dagster.launcher
  class: HoldfastRunLauncher
  config: {warm: true} # workers are forked from a process that has imported everything: a second sooner, a second of CPU less

run_monitoring: # lets runs be suspended; the sensor holdfast_resume and the waker find workers that died sooner
  enabled: true
  poll_interval_seconds: 15 # each time, it goes through every suspended run
  max_resume_run_attempts: 100000
  free_slots_after_run_end_seconds: 60

concurrency:
  pools: {default_limit: 1, granularity: op} # as everywhere in Holdfast: one step of a pool at a time, unless the pool is given more
  runs:
    max_concurrent_runs: 10
    tag_concurrency_limits:
      - key: holdfast/in_turn # schedules with `overlap: queue`
        limit: 1
        value: {applyLimitPerUniqueValue: true}

run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1, dequeue_use_threads: true}

run_retries: # retries are Holdfast's own: they continue the same execution
  enabled: true
  max_retries: 0

sensors: {use_threads: true, num_workers: 4}
schedules: {use_threads: true, num_workers: 4}
telemetry: {enabled: false}
"""


def is_warm(home: Path) -> bool:
    """Whether the instance in ``home`` forks its workers from a warm server."""
    import yaml

    try:
        settings = yaml.safe_load((home / "dagster.yaml").read_text(encoding="utf-8"))
        return settings["run_launcher"]["config"]["warm"] is True
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return False


def set_up(home: Path) -> bool:
    """Make ``home`` a ``DAGSTER_HOME``; returns whether its settings were written now.

    Raises:
        OSError: the folder cannot be made or written.
    """
    home.mkdir(parents=True, exist_ok=True)
    place = home / "dagster.yaml"
    if place.exists():
        return False
    place.write_text(SETTINGS, encoding="utf-8")
    return True

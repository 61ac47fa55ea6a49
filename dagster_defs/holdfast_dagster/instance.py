"""A Dagster instance for one machine, set up so that runs can wait without a process and survive their workers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast_dagster.storing import is_full, outlast_locks

_TRIES = 6

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

run_coordinator: # Dagster's queue, looked at twice a second
  module: holdfast_dagster.coordinator
  class: HoldfastRunCoordinator
  config: {dequeue_use_threads: true}

run_retries: # retries are Holdfast's own: they continue the same execution
  enabled: true
  max_retries: 0

sensors: {use_threads: true, num_workers: 4}
schedules: {use_threads: true, num_workers: 4}
telemetry: {enabled: false}
nux: {enabled: false} # no invitation to a newsletter before the first look
"""


def is_warm(home: Path) -> bool:
    """Whether the instance in ``home`` forks its workers from a warm server."""
    import yaml

    try:
        settings = yaml.safe_load((home / "dagster.yaml").read_text(encoding="utf-8"))
        return settings["run_launcher"]["config"]["warm"] is True
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return False


def home_for(config: Config, environment: Mapping[str, str]) -> Path:
    """The ``DAGSTER_HOME`` that goes with these settings: the one the environment names, else ``dagster`` in the state folder."""
    named = environment.get("DAGSTER_HOME", "").strip()
    return Path(named).expanduser().absolute() if named else config.state_dir / "dagster"


def open_instance(config: Config) -> dg.DagsterInstance:
    """The instance that ``DAGSTER_HOME`` names, else the one that ``holdfast up`` has made in the state folder.

    Raises:
        OperatorError: HF215, there is none, or it cannot be opened.
    """
    environment = config.process_environment()
    home = home_for(config, environment)
    named = bool(environment.get("DAGSTER_HOME", "").strip())
    if not named and not (home / "dagster.yaml").exists():
        what = f"DAGSTER_HOME is not set, and `holdfast up` has made no instance in {config.state_dir}"
        cure = "Start `holdfast up` there (or `make up`), or set DAGSTER_HOME to the folder of yours."
        raise OperatorError("HF215", what, cure=cure)
    for left in reversed(range(_TRIES)):
        try:
            outlast_locks()
            return dg.DagsterInstance.from_config(str(home))
        except Exception as error:
            # several processes may be just about to make its tables
            if not left or not any(word in str(error) for word in ("already exists", "locked", "no such table")):
                what = f"the Dagster instance cannot be opened: {str(error).splitlines()[0]}"
                cure = "Correct its dagster.yaml." if home.is_dir() else "Set DAGSTER_HOME to its folder."
                cure = "Make room: its disk is full." if is_full(str(home)) else cure
                raise OperatorError("HF215", what, cure=cure, folder=str(home)) from error
            threading.Event().wait(0.5)
    raise AssertionError("unreachable")


def remember_folder(home: Path, runbooks: Path) -> None:
    """Write down which folder's runbooks the instance shows, so that what is launched from outside is shown under the same names."""
    place = home / "holdfast" / "runbooks"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(str(runbooks), encoding="utf-8")


def shown_folder(home: Path) -> Path | None:
    """What :func:`remember_folder` wrote."""
    try:
        return Path((home / "holdfast" / "runbooks").read_text(encoding="utf-8"))
    except OSError:
        return None


def set_up(home: Path) -> bool:
    """Make ``home`` a ``DAGSTER_HOME`` with its tables; returns whether its settings were written now.

    Raises:
        OSError: the folder cannot be made or written.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(home / ".set_up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = home / "dagster.yaml"
        written = not place.exists()
        if written:
            place.write_text(SETTINGS, encoding="utf-8")
        # Two processes that make the tables at the same time leave them with two versions, which nothing opens any more; so they are
        # made before anybody is started. What is wrong with the settings, those who are started say better.
        with contextlib.suppress(Exception), dg.DagsterInstance.from_config(str(home)):
            pass
        return written
    finally:
        os.close(lock)

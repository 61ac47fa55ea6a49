"""What ``holdfast up`` is offered: Dagster's web server and daemon on a folder of runbooks."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from holdfast.config import Config
from holdfast.engine import identity
from holdfast.errors import OperatorError
from holdfast.model.service import Offer, Service
from holdfast_dagster.instance import home_for, is_warm, remember_folder, set_up
from holdfast_dagster.names import LOCATION
from holdfast_dagster.runbook import load_all
from holdfast_dagster.warm import Warm

#: Seconds between asking a run's worker to end and ending it.
_GRACE = 10.0


def services(folder: Path, port: int, environment: Mapping[str, str]) -> Offer:
    """Dagster on loopback, with an instance of its own in Holdfast's state folder unless ``DAGSTER_HOME`` names one.

    Raises:
        OperatorError: HF215, the instance's folder cannot be made or used.
    """
    config = Config.load(environment=environment)
    home = home_for(config, environment)
    own = "DAGSTER_HOME" not in environment or not environment["DAGSTER_HOME"]
    try:
        set_up(home)
        remember_folder(home, folder)
        _workspace(home, folder)
    except OSError as error:
        cure = (
            "Make it writable, or let DAGSTER_HOME name another." if own else "Let DAGSTER_HOME name a folder you can write, or unset it."
        )
        raise OperatorError("HF215", f"Dagster's folder cannot be used: {error.strerror}", cure=cure, folder=str(home)) from error
    words = [sys.executable, "-m", "dagster", "dev", "-w", str(home / "holdfast" / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    at = f"http://127.0.0.1:{port}"
    good, broken = load_all(folder)
    notes = [
        f"{len(good)} runbook{'s' if len(good) != 1 else ''} for Dagster" + (f", {len(broken)} that cannot be loaded:" if broken else "")
    ]
    notes += [f"  {one.error}" for one in broken]
    if not own:
        notes.append(f"Dagster's instance is the one DAGSTER_HOME names: {home}")
    return Offer(
        services=(
            Service(
                name="dagster",
                command=tuple(words),
                folder=folder,
                port=port,
                url=at,
                ready=f"{at}/server_info",
                purpose="jobs, assets, schedules, sensors, runs",
            ),
        ),
        environment={"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1", "HOLDFAST_DAGSTER_URL": config.dagster_url or at},
        notes=tuple(notes),
        start=lambda environment: _start(home, environment),
        stop=lambda: _stop(home, own=own),
    )


def _workspace(home: Path, folder: Path) -> None:
    """Say which code Dagster loads: the runbooks of exactly this folder, wherever the process that loads them works."""
    code = home / "holdfast" / "served.py"
    told = '"""Written by `holdfast up`: what it serves."""\n\nfrom holdfast_dagster import build_definitions\n\n'
    told += f"defs = build_definitions({str(folder)!r})\n"
    code.write_text(told, encoding="utf-8")
    target = {"relative_path": str(code), "working_directory": str(folder), "location_name": LOCATION, "attribute": "defs"}
    (home / "holdfast" / "workspace.yaml").write_text(json.dumps({"load_from": [{"python_file": target}]}), encoding="utf-8")


def _start(home: Path, environment: Mapping[str, str]) -> None:
    if is_warm(home):  # before the first run asks for it; were it to die, the next run would start it again
        Warm(home).start(environment)


def _stop(home: Path, *, own: bool) -> str | None:
    """End the warm server and, in an instance that nobody else works with, the workers of runs; those go on with the next start."""
    Warm(home).stop()
    if not own:
        return None
    from holdfast_dagster.launcher import alive, worker_of

    ended = 0
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES))):
            worker = worker_of(run)
            if worker and alive(worker):
                identity.end(worker, grace=_GRACE)
                ended += 1
    if not ended:
        return None
    return f"{ended} run{'s were' if ended != 1 else ' was'} under way and will go on with the next `holdfast up`"

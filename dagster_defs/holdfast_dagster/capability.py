"""Which way of waiting is active on an instance: suspending its runs, or leaving waiting steps to later runs."""

from __future__ import annotations

import dagster as dg
import msgspec

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast_dagster.instance import open_instance
from holdfast_dagster.internals import why_not_native


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """``mode`` is ``native`` (a waiting run is SUSPENDED) or ``continuation`` (it ends; the resume sensor launches another)."""

    mode: str
    reason: str
    cure: str = ""
    home: str = ""  # its folder


def capability(instance: dg.DagsterInstance) -> Capability:
    """What the instance can do."""
    obstacle = why_not_native(instance)
    if obstacle is None:
        return Capability(mode="native", reason=f"Dagster {dg.__version__}, {type(instance.run_launcher).__name__}, run monitoring is on")
    cure = "In dagster.yaml: run_launcher holdfast_dagster.launcher.HoldfastRunLauncher, run_monitoring with max_resume_run_attempts"
    return Capability(mode="continuation", reason=obstacle, cure=cure)


def probe() -> Capability:
    """For ``holdfast doctor``: the capability of the instance that ``DAGSTER_HOME`` names."""
    try:
        with open_instance(Config.load()) as instance:
            return msgspec.structs.replace(capability(instance), home=instance.root_directory)
    except OperatorError as error:
        return Capability(mode="none", reason=error.what, cure=error.cure or "", home=str(error.where.get("folder") or ""))

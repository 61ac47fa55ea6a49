"""A folder of runbooks as Dagster definitions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec

from holdfast.errors import AuthorError, HoldfastError, LookupFailedError
from holdfast.notebook.scheduling import Schedule
from holdfast_dagster import names
from holdfast_dagster.assets import build_assets, refuse_circles, refuse_doubles
from holdfast_dagster.broken import broken_job
from holdfast_dagster.config_schema import run_config_mapping
from holdfast_dagster.driving import holdfast_resource
from holdfast_dagster.graph import build_graph, describe, tags
from holdfast_dagster.partitions import partitions_definition
from holdfast_dagster.runbook import Broken, Runbook, dagster_name, load, load_all
from holdfast_dagster.schedules import build_schedules
from holdfast_dagster.served import note_jobs

_log = logging.getLogger("holdfast.dagster")


class Parts(msgspec.Struct, kw_only=True):
    """What is gathered for one code location."""

    jobs: dict[str, Any] = {}
    assets: list[dg.AssetsDefinition] = []
    schedules: list[dg.ScheduleDefinition] = []
    broken: list[Broken] = []


def build_definitions(
    path: str | Path,
    *,
    prefix: str = "",
    schedules: Mapping[str, Sequence[Schedule] | Schedule] | None = None,
    executor: dg.ExecutorDefinition | None = None,
    sensors: bool = True,
    share_executor: bool = True,
    rules: bool | Sequence[str | Path] = True,
) -> dg.Definitions:
    """Every runbook at ``path`` as a job, or as assets with a job that makes them.

    A notebook that cannot be loaded does not stand in the way of the others: it is there as a job of its name that says what is wrong and
    cannot run, and as one line in the log.

    Args:
        path: a notebook, or a folder of notebooks (hidden folders are left out).
        prefix: put before every name, for several folders in one code location.
        schedules: further schedules: runbook's name -> schedule or schedules.
        executor: for all jobs; by default Holdfast's own, which lets a run wait without a process.
        sensors: whether to add those that continue suspended executions and start runbooks for events; once per code location.
        share_executor: whether ``executor`` is also that of the code location, and so of assets materialised outside the runbooks' jobs.
        rules: whether rules files at ``path`` count, which say what events start; or the files and folders that count instead.

    Raises:
        LookupFailedError: HF605, nothing is at ``path``, or at one of ``rules``.
        AuthorError: HF190, ``schedules`` names a runbook that is not there.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise LookupFailedError("HF605", "no such notebook or folder", cure="check the path", file=str(place.absolute()))
    executor = executor or default_executor()
    parts = gather(place, prefix=prefix, schedules=schedules, executor=executor)
    from holdfast_dagster.eventing import add_rules

    for given in (place if place.is_dir() else place.parent,) if rules is True else tuple(rules or ()):
        folder = Path(given).expanduser()
        if not folder.exists():
            raise LookupFailedError("HF605", "'rules' names what is not there", cure="check the path", file=str(folder.absolute()))
        add_rules(folder)
    for one in parts.broken:
        _log.error("%s", one.error)
    return dg.Definitions(
        jobs=list(parts.jobs.values()),
        assets=parts.assets,
        schedules=parts.schedules,
        sensors=list(house_sensors()) if sensors else [],
        resources={names.RESOURCE: holdfast_resource},
        executor=executor if share_executor else None,
        metadata={"holdfast/path": str(place.absolute())},
    )


def build_pinned(text: Path, path: Path, name: str) -> dg.Definitions:
    """One runbook as an execution was started with it, whatever its file says now.

    Args:
        text: where that notebook is.
        path: the file it was started from, which may have changed or gone.
        name: of its job.

    Raises:
        AuthorError: HF101, HF102, HF190. LookupFailedError: HF605.
    """
    parts, executor = Parts(), default_executor()
    _add(msgspec.structs.replace(load(text, name), path=path), parts, {}, [], executor)
    return dg.Definitions(
        jobs=list(parts.jobs.values()), assets=parts.assets, resources={names.RESOURCE: holdfast_resource}, executor=executor
    )


def gather(
    path: Path, *, prefix: str, schedules: Mapping[str, Sequence[Schedule] | Schedule] | None, executor: dg.ExecutorDefinition
) -> Parts:
    """Everything but what there is only one of."""
    runbooks, broken = load_all(path, prefix)
    further = {dagster_name(prefix + k): [v] if isinstance(v, Schedule) else list(v) for k, v in (schedules or {}).items()}
    known = {r.name for r in runbooks} | {b.name for b in broken}
    if unknown := sorted(further.keys() - known):
        raise AuthorError(
            "HF190",
            f"a schedule is given for {unknown[0]!r}, which is no runbook here",
            cure=f"known: {', '.join(sorted(known)) or 'none'}",
        )
    parts = Parts(broken=broken)
    owned: dict[dg.AssetKey, Runbook] = {}
    note_jobs({runbook.path: runbook.name for runbook in runbooks}, plain=executor is default_executor())
    for runbook in runbooks:
        try:
            _add(runbook, parts, owned, further.get(runbook.name, []), executor)
        except HoldfastError as error:
            parts.broken.append(Broken(name=runbook.name, path=runbook.path, error=error))
        except Exception as error:  # Dagster's own refusals, of many kinds: one runbook must not take the others down
            wrapped = runbook.error(f"Dagster refuses it: {type(error).__name__}: {error}", "mend what it names, or report this")
            parts.broken.append(Broken(name=runbook.name, path=runbook.path, error=wrapped))
    for one in parts.broken:
        parts.jobs[one.name] = broken_job(one)
    return parts


def default_executor() -> dg.ExecutorDefinition:
    """Holdfast's executor."""
    from holdfast_dagster.executor import holdfast_executor

    found: dg.ExecutorDefinition = holdfast_executor
    return found


@cache
def house_sensors() -> tuple[dg.SensorDefinition, ...]:
    """The sensors there are one of for all runbooks: the same objects each time, so that several components may bring them along."""
    from holdfast_dagster.eventing import build_event_sensor
    from holdfast_dagster.resuming import build_resume_sensor

    return (build_resume_sensor(), build_event_sensor())


def _add(
    runbook: Runbook, parts: Parts, owned: dict[dg.AssetKey, Runbook], further: list[Schedule], executor: dg.ExecutorDefinition
) -> None:
    """All of one runbook or, when it raises, nothing of it."""
    assets = None
    refuse_doubles(runbook)
    if runbook.assets:
        refuse_circles(runbook, owned)
        assets = build_assets(runbook)
        for key in assets.keys:
            if (other := owned.get(key)) is not None:
                step = next((s for s in runbook.assets if s.asset == key.to_user_string()), None)
                where = f"of {other.path}" if other is not runbook else "of the same runbook"
                cure = f"give it another name, of parts: asset:{runbook.name}/{key.path[-1]}"
                raise runbook.error(f"the asset {key.to_user_string()!r} is also one {where}", cure, step)
        job: Any = _asset_job(runbook, assets, executor)
    else:
        job = _plain_job(runbook, executor)
    schedules = build_schedules(runbook, job, further)
    parts.jobs[runbook.name] = job
    parts.schedules += schedules
    if assets is not None:
        parts.assets.append(assets)
        owned.update(dict.fromkeys(assets.keys, runbook))


def _job_words(runbook: Runbook) -> dict[str, Any]:
    card = runbook.card
    facts = {"owner": card.owner, "version": card.version, "reviewed": card.reviewed, "digest": runbook.manifest.digest[:12]}
    return {
        "description": describe(runbook),
        "tags": tags(runbook),
        "metadata": {
            "runbook": dg.MetadataValue.notebook(str(runbook.path)),
            **{f"holdfast/{k}": dg.MetadataValue.text(v) for k, v in facts.items() if v},
        },
        "config": run_config_mapping(runbook),
    }


def _plain_job(runbook: Runbook, executor: dg.ExecutorDefinition) -> dg.JobDefinition:
    return build_graph(runbook).to_job(
        name=runbook.name,
        executor_def=executor,
        partitions_def=partitions_definition(runbook),
        resource_defs={names.RESOURCE: holdfast_resource},
        **_job_words(runbook),
    )


def _asset_job(runbook: Runbook, assets: dg.AssetsDefinition, executor: dg.ExecutorDefinition) -> Any:
    return dg.define_asset_job(
        name=runbook.name, selection=dg.AssetSelection.assets(*assets.keys), executor_def=executor, **_job_words(runbook)
    )

"""``holdfast_dagster.RunbookComponent``: a folder of runbooks in a ``defs.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import dagster as dg
import msgspec

from holdfast.errors import AuthorError, LookupFailedError
from holdfast.notebook.scheduling import Schedule, schedule_problems
from holdfast_dagster.definitions import build_definitions
from holdfast_dagster.scaffold import RunbookScaffolder

_EXECUTORS: dict[str, Any] = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}


class RunbookSchedule(dg.Model, dg.Resolvable):
    """A schedule beside those that runbooks name in their own metadata."""

    runbook: str
    cron: str
    timezone: str = "UTC"
    name: str | None = None
    parameters: dict[str, Any] = {}
    overlap: Literal["skip", "queue", "replace", "allow"] = "skip"
    enabled: bool = True


@dg.scaffold_with(RunbookScaffolder)
class RunbookComponent(dg.Component, dg.Model, dg.Resolvable):
    """Runbooks (notebooks whose tagged cells are steps) as jobs and assets.

    Each notebook becomes a job; its cells tagged ``asset:NAME`` become assets, those tagged ``check:NAME`` asset checks.

    Attributes:
        path: a notebook or a folder of notebooks, relative to this file.
        prefix: put before every name.
        schedules: further schedules.
        executor: ``holdfast`` (one kernel per run; a run that waits holds no process), ``in_process`` or ``multiprocess``.
        share_executor: whether that executor is also used for assets of the whole project when they are materialised outside a job. Dagster
            has one executor per code location, so leave it out where the project names its own.
        rules: whether the rules files at ``path`` count (which event starts which runbook); or the files and folders that count instead,
            relative to this file.
        sensors: whether to add the sensors that continue what waits and start what rules say. They are needed once per code location: the
            first component brings them.
    """

    path: str = "."
    prefix: str = ""
    schedules: list[RunbookSchedule] = []
    executor: Literal["holdfast", "in_process", "multiprocess"] = "holdfast"
    share_executor: bool = False
    rules: bool | list[str] = True
    sensors: bool = True

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of every runbook at ``path``.

        Raises:
            LookupFailedError: HF605, nothing is there.
            AuthorError: HF190, a schedule cannot be used.
        """
        place = (Path(context.path) / self.path).resolve()
        if not place.exists():
            raise LookupFailedError("HF605", "no such notebook or folder", cure="'path' is relative to defs.yaml", file=str(place))
        schedules: dict[str, list[Schedule]] = {}
        for given in self.schedules:
            words = given.model_dump()
            schedules.setdefault(words.pop("runbook"), []).append(msgspec.convert(words, Schedule))
        for runbook, wanted in schedules.items():
            for message, cure in schedule_problems(wanted):
                raise AuthorError("HF190", f"schedules of {runbook!r}: {message}", cure=cure, file=str(context.path))
        return build_definitions(
            place,
            prefix=self.prefix,
            schedules=schedules,
            executor=_EXECUTORS.get(self.executor),
            sensors=self.sensors and self._is_first(context),
            share_executor=self.share_executor,
            rules=self.rules if isinstance(self.rules, bool) else [Path(context.path) / one for one in self.rules],
        )

    def _is_first(self, context: dg.ComponentLoadContext) -> bool:
        """Whether no other component of the project comes before this one and brings the sensor."""
        others = [c for c in context.component_tree.get_all_components(of_type=RunbookComponent) if c.sensors]
        return not others or others[0] is self

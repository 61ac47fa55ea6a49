"""Events start runs: one sensor for all rules of a code location."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from holdfast.client import Client
from holdfast.client.tending import Tender, queued_by_rules
from holdfast.client.waking import claim_wake_up
from holdfast.errors import HoldfastError, StoreError
from holdfast.events.rules import Rules
from holdfast.model.execution import Execution
from holdfast_dagster import names
from holdfast_dagster.launching import launch_existing, run_id_of
from holdfast_dagster.served import tell_location
from holdfast_dagster.storing import outlast_locks

_log = logging.getLogger("holdfast.dagster")
#: Where the rules of this process's code location lie: what ``build_definitions`` was called with.
_folders: dict[Path, None] = {}
#: Seconds for which an execution that could not be launched is not tried again by this process.
_REFUSED = 30.0
_refused: dict[str, float] = {}


def add_rules(folder: Path) -> None:
    """The event sensor of this code location also looks at the rules in ``folder``."""
    _folders[folder.resolve()] = None


def start_due(instance: dg.DagsterInstance, client: Client, tender: Tender, *, by: str = "events", within: float = 20.0) -> list[str]:
    """Dispatch what is in the inbox, and submit a run for each execution that a rule started and nobody works on.

    Safe beside ``holdfast worker`` and other sensors: an event makes one execution, whoever dispatches it, and an execution has one run,
    whose id is made from the execution's.

    Args:
        within: seconds after which the rest is left to the next look: Dagster waits for a sensor for a minute.

    Returns:
        the ids of the runs.

    Raises:
        StoreError: the journal cannot be reached.
    """
    begun = client.store.now()
    tender.look(deliver=False)
    runs = []
    for execution in _without_run(instance, client, tender.rules):
        now = client.store.now()
        if now - begun > within:
            break
        if now < _refused.get(execution.id, 0.0) or not claim_wake_up(client, execution.id, by):
            continue
        try:
            launched = launch_existing(instance, execution)
        except StoreError:
            raise
        except Exception as error:  # its notebook is not here, or broken by now: another machine may have it; the others need not wait
            _log.error("execution %s: %s", execution.id, error, exc_info=not isinstance(error, HoldfastError))
            _refuse(execution.id, now)
            continue
        if launched.new:
            runs.append(launched.run)
    return runs


def _without_run(instance: dg.DagsterInstance, client: Client, rules: Rules) -> Iterator[Execution]:
    """What waits in Dagster's queue is looked up in one go, so that a long queue costs little and stands in nobody's way."""
    submitted = [status for status in dg.DagsterRunStatus if status != dg.DagsterRunStatus.NOT_STARTED]
    for page in queued_by_rules(client, rules):
        wanted = {run_id_of(execution.id): execution for execution in page}
        there = set(instance.get_run_ids(filters=dg.RunsFilter(run_ids=list(wanted), statuses=submitted)) if wanted else [])
        yield from (execution for run, execution in wanted.items() if run not in there)


def _refuse(execution: str, now: float) -> None:
    for known in [known for known, until in _refused.items() if until < now]:
        del _refused[known]
    _refused[execution] = now + _REFUSED


def build_event_sensor(*, interval: int = 1) -> dg.SensorDefinition:
    """The one sensor for all rules.

    Args:
        interval: seconds between two looks, at least (Dagster's daemon adds its own).
    """

    @dg.sensor(
        name=names.EVENT_SENSOR,
        minimum_interval_seconds=interval,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts runbooks for events that came in, as the rules beside the runbooks say.",
    )
    def holdfast_events(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        outlast_locks()
        tell_location(context)
        try:
            with Client.open() as client:
                tender = Tender(client, _folders)
                runs = start_due(context.instance, client, tender, by="sensor")
                seen = client.store.streams.cursor("rules").position
        except HoldfastError as error:
            if error.code != "HF227":  # there is no journal yet, so nothing came either
                raise
            return dg.SensorResult(skip_reason="there is no journal yet")
        said = f"started {len(runs)}: {', '.join(runs)}" if runs else f"nothing came after event {seen}"
        return dg.SensorResult(skip_reason=said, cursor=str(seen))

    return holdfast_events


#: The one that definitions take.
event_sensor = build_event_sensor()

__all__ = ["add_rules", "build_event_sensor", "event_sensor", "start_due"]
